import type { CoordinatorConnection, Incoming } from './host.ts';

/** Work that takes longer than this is interrupted by messages that cannot wait. */
const LONG_MS = 500;
/** Longest single wait for the next message during the work. */
const WAIT_MS = 1_000;

/** The handshake of a connection that broke and was opened again: what comes before anything about the model. */
const isHandshake = (item: Incoming): boolean =>
  item.kind === 'connected' ||
  item.kind === 'lost' ||
  (item.kind === 'told' && ['challenge', 'admitted', 'standing', 'alive'].includes(item.message.kind));

/**
 * Incoming messages in order, also during long work. A step, reading data or validation may take minutes, but the coordinator waits for a hello only for
 * seconds: so the handshake is answered during the work, and everything else after it.
 */
export class ConnectionInbox {
  readonly #connection: CoordinatorConnection;
  #left: { readonly item: Incoming | null } | undefined;

  constructor(connection: CoordinatorConnection) {
    this.#connection = connection;
  }

  next(timeoutMs: number): ReturnType<CoordinatorConnection['next']> {
    if (this.#left === undefined) return this.#connection.next(timeoutMs);
    const { item } = this.#left;
    this.#left = undefined;
    return Promise.resolve(item);
  }

  /** @param handle takes what need not wait @throws what the work does, or what `handle` does once the work is done */
  async during<T>(work: Promise<T>, handle: (item: Incoming) => Promise<void>): Promise<T> {
    let isDone = false;
    const done = (): void => {
      isDone = true;
      this.#connection.wake();
    };
    work.then(done, done);
    await Promise.race([work.catch(() => {}), new Promise((resolve) => setTimeout(resolve, LONG_MS))]);
    try {
      while (!isDone && this.#left === undefined) {
        const item = await this.#connection.next(WAIT_MS);
        if (item === 'timeout') continue;
        if (item !== null && isHandshake(item)) await handle(item);
        else this.#left = { item };
      }
    } catch (error) {
      await work.catch(() => {});
      throw error;
    }
    return work;
  }
}
