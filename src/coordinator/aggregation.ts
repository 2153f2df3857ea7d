import { type Fragment, pack, unpack } from '../outer/fragments.ts';
import { type Contribution, type GlobalFragment, type MergeRule, mergeFragment } from '../outer/merge.ts';

/** The run's tensors: every fragment's parameters and velocity, and the contributions that wait for their merge. */
export class Aggregation {
  readonly fragments: readonly Fragment[];
  readonly #rule: MergeRule;
  readonly #global: GlobalFragment[];
  readonly #waiting: Map<string, Float32Array>[];

  constructor(
    fragments: readonly Fragment[],
    rule: MergeRule,
    parameters: ReadonlyMap<string, Float32Array>,
    velocity?: ReadonlyMap<string, Float32Array>,
  ) {
    this.fragments = fragments;
    this.#rule = rule;
    this.#global = fragments.map((fragment) => ({
      parameters: pack(fragment, parameters),
      velocity: velocity === undefined ? new Float32Array(fragment.elements) : pack(fragment, velocity),
    }));
    this.#waiting = fragments.map(() => new Map());
  }

  /** Keeps an island's parameters of a fragment until its merge; a later contribution replaces an earlier one. */
  contribute(fragment: number, island: string, parameters: Float32Array): void {
    this.#waiting[fragment]!.set(island, parameters);
  }

  /**
   * Merges what the named islands contributed, in their order, and forgets all contributions to the fragment.
   *
   * @returns the fragment's new parameters
   */
  merge(fragment: number, weights: readonly { readonly island: string; readonly weight: number }[]): Float32Array {
    const waiting = this.#waiting[fragment]!;
    const contributions: Contribution[] = weights.map(({ island, weight }) => ({
      weight,
      parameters: waiting.get(island)!,
    }));
    const merged = mergeFragment(this.fragments[fragment]!, this.#global[fragment]!, contributions, this.#rule);
    this.#global[fragment] = merged;
    waiting.clear();
    return merged.parameters;
  }

  parametersOf(fragment: number): Float32Array {
    return this.#global[fragment]!.parameters;
  }

  /** All global parameters by name. */
  parameters(): ReadonlyMap<string, Float32Array> {
    return this.#collect('parameters');
  }

  /** The outer optimizer's velocity by name. */
  velocity(): ReadonlyMap<string, Float32Array> {
    return this.#collect('velocity');
  }

  #collect(part: keyof GlobalFragment): ReadonlyMap<string, Float32Array> {
    return new Map(this.#global.flatMap((global, i) => [...unpack(this.fragments[i]!, global[part])]));
  }
}
