import { parentPort } from 'node:worker_threads';
import type { Fragment } from '../../outer/fragments.ts';
import type { Parcel } from '../../protocol/frame.ts';
import { answerCalls } from '../../threads.ts';
import { Aggregation, type AggregationSettings, type AggregationState } from '../aggregation.ts';

/** The thread of `WorkerAggregation`. Payloads are made for one reader, and handed over. */
let aggregation: Aggregation | undefined;

const calls = {
  begin(fragments: readonly Fragment[], settings: AggregationSettings, state: AggregationState): void {
    aggregation = new Aggregation(fragments, settings, state);
  },
  contribute: (fragment: number, island: string, parcel: Parcel): void =>
    aggregation!.contribute(fragment, island, parcel),
  merge: (fragment: number, weights: Parameters<Aggregation['merge']>[1]): Parcel =>
    aggregation!.merge(fragment, weights),
  whole: (fragment: number): Parcel => aggregation!.whole(fragment),
  state: (): AggregationState => aggregation!.state(),
};

answerCalls(parentPort!, calls, (method, result) =>
  method === 'merge' || method === 'whole' ? [(result as Parcel).payload.buffer] : [],
);
