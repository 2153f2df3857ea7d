import { type Codec, codecFor, malformed } from '../outer/codecs/index.ts';
import { addContribution, openContribution, packUpdate, packWhole } from '../outer/encoded-fragment.ts';
import { type Fragment, pack, unpack } from '../outer/fragments.ts';
import { type MergeRule, mergeFragment, type PseudoGradient } from '../outer/merge.ts';
import { freshFragment, type GlobalFragment, outerStep, type Target } from '../outer/outer-optimizer.ts';
import { type OuterSettings, sendsWhole } from '../outer/settings.ts';
import type { EncodedFragment } from '../protocol/frame.ts';
import type { AggregationState, StatePart } from './state-pieces.ts';

export type AggregationSettings = MergeRule & Pick<OuterSettings, 'upCodec' | 'downCodec' | 'pull'>;

/** A fragment of the run: its parameters, outer optimizer state, and the state of its downward codec. */
interface GlobalState {
  readonly layout: Fragment;
  readonly up: Codec;
  readonly down: Codec;
  readonly global: GlobalFragment;
  readonly residual: Float32Array;
  readonly memory: Float32Array;
}

/** Stores encoded contributions until their merge. */
export interface PayloadBuffer {
  /** @returns fetches the payload again, as often as wanted, until {@link clear} */
  put(payload: EncodedFragment['payload']): () => EncodedFragment['payload'];
  clear(): void;
}

/** In memory. */
const memoryBuffer = (): PayloadBuffer => ({ put: (payload) => () => payload, clear: () => {} });

interface Waiting {
  readonly form: EncodedFragment['form'];
  readonly payload: () => EncodedFragment['payload'];
  readonly squares: number;
}

/** What came of a contribution: its length ‖Δₘ‖, and whether it waits for its merge. */
export interface Measured {
  readonly length: number;
  readonly kept: boolean;
}

/** The run's tensors, and the contributions that wait, still encoded, for their merge. */
export class Aggregation {
  readonly fragments: readonly Fragment[];
  readonly #settings: AggregationSettings;
  readonly #states: GlobalState[];
  readonly #buffers: readonly PayloadBuffer[];
  readonly #waiting: Map<string, Waiting>[];
  /** Scratch for θ before it is encoded; as large as the largest fragment. */
  readonly #scratch: Float32Array;

  /** @param state what is left out is as before the first merge; parameters are zero then, and written through {@link array} */
  constructor(
    fragments: readonly Fragment[],
    settings: AggregationSettings,
    state: Partial<AggregationState>,
    newBuffer: () => PayloadBuffer = memoryBuffer,
  ) {
    const exact = sendsWhole(settings);
    this.fragments = fragments;
    this.#settings = settings;
    this.#states = fragments.map((layout, i) => {
      const kept = (arrays: ReadonlyMap<string, Float32Array> | undefined): Float32Array | undefined =>
        arrays === undefined || arrays.size === 0 ? undefined : pack(layout, arrays);
      const fresh = freshFragment(kept(state.parameters) ?? new Float32Array(layout.elements), settings);
      const down = codecFor(exact ? 'f32' : settings.downCodec, layout);
      return {
        layout,
        up: codecFor(settings.upCodec, layout),
        down,
        global: {
          ...fresh,
          velocity: kept(state.velocity) ?? fresh.velocity,
          second: kept(state.second) ?? fresh.second,
          steps: state.steps?.[i] ?? 0,
        },
        // An exact codec leaves no residual.
        residual: exact ? new Float32Array(0) : (kept(state.residual) ?? new Float32Array(layout.elements)),
        memory: state.memories?.[i] ?? new Float32Array(down.memoryElements),
      };
    });
    this.#scratch = new Float32Array(exact ? 0 : Math.max(...fragments.map(({ elements }) => elements)));
    this.#waiting = fragments.map(() => new Map());
    this.#buffers = fragments.map(newBuffer);
  }

  /** The codec that contributions to a fragment must have. */
  codec(fragment: number): Codec {
    return this.#states[fragment]!.up;
  }

  /** Bytes that a contribution to a fragment may have at most. */
  static mostBytes(layout: Fragment, { upCodec }: Pick<OuterSettings, 'upCodec'>): number {
    return Math.max(4 * layout.elements, codecFor(upCodec, layout).mostBytes);
  }

  /**
   * Keeps what an island contributes to a fragment until its merge; a later contribution replaces an earlier one.
   *
   * @param encoded the difference to a version of the fragment that is not too old: the caller's check
   * @param mostLength a longer one is measured and not kept (`length-bound.ts`)
   * @throws HelioError HELIO-4004 when it cannot be read, HELIO-4008 when it is not finite; HELIO-3002 and the like when the coordinator cannot keep it
   */
  contribute(
    fragment: number,
    island: string,
    encoded: EncodedFragment,
    mostLength = Number.POSITIVE_INFINITY,
  ): Measured {
    const { up, global } = this.#states[fragment]!;
    if (encoded.codec !== up.name) throw malformed(`it comes in ${encoded.codec}, and the run has ${up.name}`);
    const gradient = openContribution(encoded, up, global.parameters);
    const length = Math.sqrt(gradient.squares);
    if (length > mostLength) return { length, kept: false };
    const payload = this.#buffers[fragment]!.put(encoded.payload);
    this.#waiting[fragment]!.set(island, {
      form: encoded.form,
      payload,
      squares: gradient.squares,
    });
    return { length, kept: true };
  }

  /**
   * Merges what the named islands contributed, in their order, and forgets it.
   *
   * @returns what to send, and the averaged pseudo-gradient that led to it
   */
  merge(
    fragment: number,
    weights: readonly { readonly island: string; readonly weight: number }[],
  ): { readonly encoded: EncodedFragment; readonly delta: Float32Array } {
    const waiting = this.#waiting[fragment]!;
    const state = this.#states[fragment]!;
    const contributions = weights.map(({ island, weight }) => {
      const { form, payload, squares } = waiting.get(island)!;
      const addTo: PseudoGradient['addTo'] = (sum, scale) =>
        addContribution({ form, payload: payload() }, state.up, state.global.parameters, sum, scale);
      return { squares, addTo, weight };
    });
    const into = this.#target(state);
    const { merged, delta } = mergeFragment(state.layout, state.global, contributions, this.#settings, into);
    waiting.clear();
    this.#buffers[fragment]!.clear();
    return { encoded: this.#adopt(fragment, state, merged), delta };
  }

  /** Replays the outer step of an earlier merge from its averaged pseudo-gradient. */
  follow(fragment: number, delta: Float32Array): void {
    const state = this.#states[fragment]!;
    this.#adopt(fragment, state, outerStep(state.global, delta, this.#settings, this.#target(state)));
  }

  /** Where the outer step goes: over what it starts from, but for θ where that is still needed to send the difference. */
  #target({ global }: GlobalState): Target {
    const { parameters, velocity, second } = global;
    const exact = sendsWhole(this.#settings);
    return { parameters: exact ? parameters : this.#scratch.subarray(0, parameters.length), velocity, second };
  }

  /**
   * Makes what was merged the fragment's state. With a lossy codec the coordinator takes as its own what the islands will have, and keeps the
   * rest for the next merge: all sides hold the same bits.
   *
   * @returns what to send to everyone who has the previous version
   */
  #adopt(fragment: number, state: GlobalState, merged: GlobalFragment): EncodedFragment {
    if (sendsWhole(this.#settings)) {
      this.#states[fragment] = { ...state, global: merged };
      return packWhole(merged.parameters);
    }
    const { encoded, arrives, residual, memory } = packUpdate(state.down, {
      parameters: merged.parameters,
      base: state.global.parameters,
      residual: state.residual,
      sign: 1,
      memory: state.memory,
      inPlace: true,
    });
    this.#states[fragment] = { ...state, global: { ...merged, parameters: arrives }, residual, memory };
    return encoded;
  }

  /** Outer steps taken: the fragment's version. */
  version(fragment: number): number {
    return this.#states[fragment]!.global.steps;
  }

  /** The whole fragment as it is now, for islands that join. */
  whole(fragment: number): EncodedFragment {
    return packWhole(this.#states[fragment]!.global.parameters);
  }

  /** The numbers of a part of a fragment where they lie; none where nothing of the kind is kept. */
  array(part: StatePart, fragment: number): Float32Array {
    const { global, residual, memory } = this.#states[fragment]!;
    switch (part) {
      case 'parameters':
      case 'velocity':
      case 'second':
        return global[part];
      case 'residual':
        return residual;
      case 'memory':
        return memory;
    }
  }

  state(): AggregationState {
    const collect = (part: (state: GlobalState) => Float32Array): ReadonlyMap<string, Float32Array> =>
      new Map(
        this.#states.flatMap((state) => (part(state).length === 0 ? [] : [...unpack(state.layout, part(state))])),
      );
    return {
      parameters: collect(({ global }) => global.parameters),
      velocity: collect(({ global }) => global.velocity),
      second: collect(({ global }) => global.second),
      residual: collect(({ residual }) => residual),
      memories: this.#states.map(({ memory }) => memory),
      steps: this.#states.map(({ global }) => global.steps),
    };
  }
}
