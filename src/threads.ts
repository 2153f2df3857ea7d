import { type MessagePort, SHARE_ENV, type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, HelioError } from './errors.ts';

/** Calls of one object's methods from another thread, carried out one after the other in the order in which they came. */

export interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}
interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: {
    readonly known: { readonly code: ErrorCode; readonly what: string; readonly remedy: string } | undefined;
    readonly message: string;
  };
}
/** A word from the thread that answers no call. */
interface Notice {
  readonly notice: unknown;
}

export class ThreadClient {
  readonly #worker: Worker;
  readonly #what: string;
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  /** @param module of the thread, without its ending @param what it is, for messages */
  constructor(module: URL, what: string, onNotice: (notice: unknown) => void = () => {}) {
    const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
    this.#what = what;
    // With its own copy of the environment a thread could not turn off what libraries in C++ do by default.
    this.#worker = new Worker(new URL(`${module.href}${ending}`), { env: SHARE_ENV });
    this.#worker.on('message', (message: Reply | Notice) => {
      if ('notice' in message) return onNotice(message.notice);
      const { id, result, error } = message;
      const call = this.#open.get(id);
      this.#open.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(revive(error));
    });
    this.#worker.on('error', (error) => this.#failAll(error));
    this.#worker.on('exit', (code) => this.#failAll(new Error(`exit code ${code}`)));
  }

  /** @param handOver memory that the thread gets and this one loses, instead of a copy */
  call<T>(method: string, args: readonly unknown[], handOver: readonly Transferable[] = []): Promise<T> {
    const id = this.#calls++;
    const call = Promise.withResolvers<unknown>();
    this.#open.set(id, call);
    this.#worker.postMessage({ id, method, args } satisfies Call, handOver);
    return call.promise as Promise<T>;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #failAll(cause: Error): void {
    for (const call of this.#open.values()) {
      call.reject(
        new HelioError(
          'HELIO-2001',
          `The ${this.#what} thread ended: ${cause.message}.`,
          'Check the memory that is left (`heliotrope doctor`), and join again.',
          { cause },
        ),
      );
    }
    this.#open.clear();
  }
}

/**
 * The thread's side.
 *
 * @param handOver memory of a result that the caller gets and this thread loses, instead of a copy
 */
export function answerCalls(
  port: MessagePort,
  target: object,
  handOver: (method: string, result: unknown) => readonly Transferable[],
): void {
  let queue = Promise.resolve();
  port.on('message', (call: Call) => {
    queue = queue.then(async () => {
      const reply = await answer(target, call);
      port.postMessage(reply, reply.error === undefined ? handOver(call.method, reply.result) : []);
    });
  });
}

export const notify = (port: MessagePort, notice: unknown): void => port.postMessage({ notice } satisfies Notice);

async function answer(target: object, { id, method, args }: Call): Promise<Reply> {
  try {
    const operation = (target as Record<string, (...args: unknown[]) => unknown>)[method]!;
    return { id, result: await operation.apply(target, [...args]) };
  } catch (error) {
    const known = error instanceof HelioError ? error.toJSON() : undefined;
    return { id, error: { known, message: error instanceof Error ? (error.stack ?? error.message) : String(error) } };
  }
}

function revive({ known, message }: NonNullable<Reply['error']>): Error {
  return known === undefined ? new Error(message) : new HelioError(known.code, known.what, known.remedy);
}
