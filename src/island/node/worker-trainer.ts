import { Worker } from 'node:worker_threads';
import { type ErrorCode, HelioError } from '../../errors.ts';
import type { Parcel } from '../../protocol/frame.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import type { Assignment, IslandTrainer } from '../trainer-face.ts';

export interface Call {
  readonly id: number;
  readonly method: keyof IslandTrainer;
  readonly args: readonly unknown[];
}
/** How much of the text is tokenized, from 0 to 1. */
export interface Progress {
  readonly progress: number;
}
export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: {
    readonly known: { readonly code: ErrorCode; readonly what: string; readonly remedy: string } | undefined;
    readonly message: string;
  };
}

/** A trainer in a worker thread, so that heartbeats and messages go on while the engine computes. */
export class WorkerTrainer implements IslandTrainer {
  readonly #worker: Worker;
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  constructor(onProgress: (share: number) => void) {
    const thread = import.meta.url.endsWith('.ts') ? './trainer-thread.ts' : './trainer-thread.js';
    this.#worker = new Worker(new URL(thread, import.meta.url));
    this.#worker.on('message', (message: Reply | Progress) => {
      if ('progress' in message) return onProgress(message.progress);
      const { id, result, error } = message;
      const call = this.#open.get(id);
      this.#open.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(revive(error));
    });
    this.#worker.on('error', (error) => this.#failAll(error));
    this.#worker.on('exit', (code) => this.#failAll(new Error(`exit code ${code}`)));
  }

  prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void> {
    return this.#call('prepare', [assignment, fragments]);
  }
  step(): ReturnType<IslandTrainer['step']> {
    return this.#call('step', []);
  }
  contribution(fragment: number): Promise<Parcel> {
    return this.#call('contribution', [fragment]);
  }
  receive(fragment: number, parcel: Parcel, runStep: number): Promise<void> {
    return this.#call('receive', [fragment, parcel, runStep]);
  }
  evaluate(part: number, of: number): ReturnType<IslandTrainer['evaluate']> {
    return this.#call('evaluate', [part, of]);
  }
  save(checkpoint: string, clocks: readonly FragmentClock[]): Promise<void> {
    return this.#call('save', [checkpoint, clocks]);
  }
  restore(checkpoint: string | null, versions: readonly number[]): ReturnType<IslandTrainer['restore']> {
    return this.#call('restore', [checkpoint, versions]);
  }
  skipTo(runStep: number): Promise<number> {
    return this.#call('skipTo', [runStep]);
  }

  async release(): Promise<void> {
    await this.#call('release', []);
    await this.#worker.terminate();
  }

  #call<T>(method: keyof IslandTrainer, args: readonly unknown[]): Promise<T> {
    const id = this.#calls++;
    const call = Promise.withResolvers<unknown>();
    this.#open.set(id, call);
    this.#worker.postMessage({ id, method, args } satisfies Call);
    return call.promise as Promise<T>;
  }

  #failAll(cause: Error): void {
    for (const call of this.#open.values()) {
      call.reject(
        new HelioError(
          'HELIO-2001',
          `The training thread ended: ${cause.message}.`,
          'Check the memory that is left (`heliotrope doctor`), and join again.',
          { cause },
        ),
      );
    }
    this.#open.clear();
  }
}

function revive({ known, message }: NonNullable<Reply['error']>): Error {
  return known === undefined ? new Error(message) : new HelioError(known.code, known.what, known.remedy);
}
