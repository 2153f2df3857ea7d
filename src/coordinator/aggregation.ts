import { codecs } from '../outer/codecs/index.ts';
import { type Fragment, pack, unpack } from '../outer/fragments.ts';
import { type MergeRule, mergeFragment } from '../outer/merge.ts';
import { freshFragment, type GlobalFragment, isAdaptive } from '../outer/outer-optimizer.ts';
import { openParcel, packParcel } from '../outer/parcel.ts';
import type { OuterSettings } from '../outer/settings.ts';
import type { Parcel } from '../protocol/frame.ts';

/** Tensors of a checkpoint by name. */
export interface AggregationState {
  readonly parameters: ReadonlyMap<string, Float32Array>;
  /** The outer optimizer's v. */
  readonly velocity: ReadonlyMap<string, Float32Array>;
  /** The second moment of adaptive outer optimizers; empty for the others. */
  readonly square: ReadonlyMap<string, Float32Array>;
  /** What lossy updates to the islands have left over so far. */
  readonly residual: ReadonlyMap<string, Float32Array>;
}

/** The run's tensors: every fragment's parameters and velocity, and the contributions that wait for their merge. */
export class Aggregation {
  readonly fragments: readonly Fragment[];
  readonly #settings: MergeRule & Pick<OuterSettings, 'downCodec'>;
  readonly #global: (GlobalFragment & { readonly residual: Float32Array })[];
  readonly #waiting: Map<string, Float32Array>[];

  constructor(
    fragments: readonly Fragment[],
    settings: MergeRule & Pick<OuterSettings, 'downCodec'>,
    state: Pick<AggregationState, 'parameters'> & Partial<AggregationState>,
  ) {
    this.fragments = fragments;
    this.#settings = settings;
    const packed = (fragment: Fragment, arrays: ReadonlyMap<string, Float32Array> | undefined): Float32Array =>
      arrays === undefined ? new Float32Array(fragment.elements) : pack(fragment, arrays);
    this.#global = fragments.map((fragment) => {
      const fresh = freshFragment(packed(fragment, state.parameters), settings);
      const kept = (state.square?.size ?? 0) > 0 && isAdaptive(settings.optimizer);
      return {
        ...fresh,
        velocity: packed(fragment, state.velocity),
        square: kept ? packed(fragment, state.square) : fresh.square,
        residual: packed(fragment, state.residual),
      };
    });
    this.#waiting = fragments.map(() => new Map());
  }

  /**
   * Keeps where an island is with a fragment until its merge; a later contribution replaces an earlier one.
   *
   * @param parcel based on the fragment's current version: the caller's check
   * @throws HelioError HELIO-4004 when it cannot be read
   */
  contribute(fragment: number, island: string, parcel: Parcel): void {
    this.#waiting[fragment]!.set(island, openParcel(parcel, this.#global[fragment]!.parameters, -1));
  }

  /**
   * Merges what the named islands contributed, in their order, and forgets all contributions to the fragment.
   *
   * With a lossy codec the coordinator takes as its own what the islands will have, and keeps the rest for the next
   * merge: all sides hold the same bits.
   *
   * @returns what to send to everyone who has the previous version
   */
  merge(fragment: number, weights: readonly { readonly island: string; readonly weight: number }[]): Parcel {
    const waiting = this.#waiting[fragment]!;
    const contributions = weights.map(({ island, weight }) => ({ weight, parameters: waiting.get(island)! }));
    const before = this.#global[fragment]!;
    const merged = mergeFragment(this.fragments[fragment]!, before, contributions, this.#settings);
    const { parcel, arrives, residual } = packParcel(
      this.#settings.downCodec,
      merged.parameters,
      before.parameters,
      before.residual,
      1,
    );
    this.#global[fragment] = { ...merged, parameters: arrives, residual };
    waiting.clear();
    return parcel;
  }

  /** The whole fragment as it is now, for those who come. */
  whole(fragment: number): Parcel {
    const { parameters } = this.#global[fragment]!;
    return { form: 'parameters', codec: 'f32', payload: codecs.f32.encode(parameters) };
  }

  state(): AggregationState {
    const collect = (part: 'parameters' | 'velocity' | 'square' | 'residual'): ReadonlyMap<string, Float32Array> =>
      new Map(this.#global.flatMap((global, i) => [...unpack(this.fragments[i]!, global[part])]));
    return {
      parameters: collect('parameters'),
      velocity: collect('velocity'),
      square: isAdaptive(this.#settings.optimizer) ? collect('square') : new Map(),
      residual: collect('residual'),
    };
  }
}
