import type { Fragment } from '../../outer/fragments.ts';
import type { EncodedFragment } from '../../protocol/frame.ts';
import { ThreadClient } from '../../threads.ts';
import { buffersOf, type ExchangeSettings, type ExchangeState } from '../fragment-exchange.ts';
import type { IslandExchange } from '../trainer-interface.ts';

/** The exchange's arithmetic in a worker thread of its own: training never waits for a codec. */
export class WorkerExchange implements IslandExchange {
  readonly #thread = new ThreadClient(new URL('./exchange-thread', import.meta.url), 'exchange');

  prepare(
    fragments: readonly Fragment[],
    settings: ExchangeSettings,
    parameters: readonly Float32Array[],
  ): Promise<void> {
    return this.#thread.call('prepare', [fragments, settings, parameters]);
  }
  contribute(fragment: number, own: Float32Array, round: number): Promise<EncodedFragment> {
    return this.#thread.call('contribute', [fragment, own, round], [own.buffer as ArrayBuffer]);
  }
  receive(fragment: number, version: number, encoded: EncodedFragment, round: number): Promise<Float32Array> {
    return this.#thread.call('receive', [fragment, version, encoded, round], [encoded.payload.buffer]);
  }
  show(fragment: number, version: number, parameters: Float32Array, round: number): Promise<void> {
    return this.#thread.call('show', [fragment, version, parameters, round]);
  }
  reset(fragment: number, parameters: Float32Array, round: number): Promise<void> {
    return this.#thread.call('reset', [fragment, parameters, round]);
  }
  rebase(fragment: number, version: number): Promise<void> {
    return this.#thread.call('rebase', [fragment, version]);
  }
  save(): Promise<ExchangeState> {
    return this.#thread.call('save', []);
  }
  load(state: ExchangeState): Promise<void> {
    return this.#thread.call('load', [state], buffersOf(state));
  }
  release(): Promise<void> {
    return this.#thread.end();
  }
}
