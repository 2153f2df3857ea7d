import type { Fragment } from '../../outer/fragments.ts';
import type { Parcel } from '../../protocol/frame.ts';
import { ThreadClient } from '../../threads.ts';
import { Aggregation, type AggregationSettings, type AggregationState } from '../aggregation.ts';

/** `Aggregation` in a worker thread of its own, so that heartbeats and messages go on while it adds up. Calls keep their order. */
export class WorkerAggregation {
  readonly fragments: readonly Fragment[];
  /** Bytes that a contribution may have at most. */
  readonly mostBytes: number;
  readonly #thread = new ThreadClient(new URL('./aggregation-thread', import.meta.url), 'aggregation');
  readonly #begun: Promise<void>;

  constructor(
    fragments: readonly Fragment[],
    settings: AggregationSettings,
    state: Pick<AggregationState, 'parameters'> & Partial<AggregationState>,
  ) {
    this.fragments = fragments;
    this.mostBytes = Aggregation.mostBytes(fragments, settings);
    this.#begun = this.#thread.call('begin', [fragments, settings, state]);
  }

  /** @throws HelioError HELIO-4004 when it cannot be read. @see Aggregation.contribute */
  async contribute(fragment: number, island: string, parcel: Parcel): Promise<void> {
    await this.#begun;
    return this.#thread.call('contribute', [fragment, island, parcel], [parcel.payload.buffer]);
  }

  async merge(fragment: number, weights: Parameters<Aggregation['merge']>[1]): Promise<Parcel> {
    await this.#begun;
    return this.#thread.call('merge', [fragment, weights]);
  }

  async whole(fragment: number): Promise<Parcel> {
    await this.#begun;
    return this.#thread.call('whole', [fragment]);
  }

  async state(): Promise<AggregationState> {
    await this.#begun;
    return this.#thread.call('state', []);
  }

  close(): Promise<void> {
    return this.#thread.end();
  }
}
