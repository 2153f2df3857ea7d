import { ThreadClient } from '../../threads.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import { buffersOf, type ExchangeState } from '../fragment-exchange.ts';
import type { Assignment, IslandTrainer, Kept } from '../trainer-interface.ts';

/** A trainer in a worker thread, so that heartbeats and messages go on while the engine computes. */
export class WorkerTrainer implements IslandTrainer {
  readonly #thread: ThreadClient;

  /** @param onProgress told how much of the text is tokenized, from 0 to 1 */
  constructor(onProgress: (share: number) => void) {
    const module = new URL('./trainer-thread', import.meta.url);
    this.#thread = new ThreadClient(module, 'training', (share) => onProgress(share as number));
  }

  prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void> {
    return this.#thread.call('prepare', [assignment, fragments]);
  }
  step(): ReturnType<IslandTrainer['step']> {
    return this.#thread.call('step', []);
  }
  snapshot(fragment: number): Promise<Float32Array> {
    return this.#thread.call('snapshot', [fragment]);
  }
  take(fragment: number, parameters: Float32Array, kept: Kept, place: number): Promise<void> {
    return this.#thread.call('take', [fragment, parameters, kept, place]);
  }
  evaluate(part: number, of: number): ReturnType<IslandTrainer['evaluate']> {
    return this.#thread.call('evaluate', [part, of]);
  }
  save(checkpoint: string, clocks: readonly FragmentClock[], exchange: ExchangeState): Promise<void> {
    return this.#thread.call('save', [checkpoint, clocks, exchange], buffersOf(exchange));
  }
  restore(checkpoint: string | null, versions: readonly number[]): ReturnType<IslandTrainer['restore']> {
    return this.#thread.call('restore', [checkpoint, versions]);
  }
  skipTo(runStep: number): Promise<number> {
    return this.#thread.call('skipTo', [runStep]);
  }
  async release(): Promise<void> {
    await this.#thread.call('release', []);
    await this.#thread.end();
  }
}
