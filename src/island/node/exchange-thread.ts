import { parentPort } from 'node:worker_threads';
import type { Fragment } from '../../outer/fragments.ts';
import type { EncodedFragment } from '../../protocol/frame.ts';
import { answerCalls } from '../../threads.ts';
import { type ExchangeSettings, type ExchangeState, FragmentExchange } from '../fragment-exchange.ts';

/** The thread of `WorkerExchange`. */
let exchange: FragmentExchange | undefined;

const calls = {
  prepare(fragments: readonly Fragment[], settings: ExchangeSettings, parameters: readonly Float32Array[]): void {
    exchange = new FragmentExchange(fragments, settings, parameters);
  },
  contribute: (fragment: number, own: Float32Array, round: number): EncodedFragment =>
    exchange!.contribute(fragment, own, round),
  receive: (fragment: number, version: number, encoded: EncodedFragment, round: number): Float32Array =>
    exchange!.receive(fragment, version, encoded, round),
  show: (fragment: number, version: number, parameters: Float32Array, round: number): void =>
    exchange!.show(fragment, version, parameters, round),
  reset: (fragment: number, parameters: Float32Array, round: number): void =>
    exchange!.reset(fragment, parameters, round),
  rebase: (fragment: number, version: number): void => exchange!.rebase(fragment, version),
  save: (): ExchangeState => exchange!.save(),
  load: (state: ExchangeState): void => exchange!.load(state),
};

answerCalls(parentPort!, calls, (method, result) =>
  method === 'contribute' ? [(result as EncodedFragment).payload.buffer] : [],
);
