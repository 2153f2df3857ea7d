import type { Incoming, Line } from './host.ts';

/** Work that takes longer than this is not the only thing that an island attends to. */
const LONG_MS = 500;
/** Longest single wait for the next word meanwhile. */
const WAIT_MS = 1_000;

/** Of a connection that broke and came back, until the coordinator sends what is about the model. */
const isGreeting = (item: Incoming): boolean =>
  item.kind === 'connected' ||
  item.kind === 'lost' ||
  (item.kind === 'told' && ['challenge', 'admitted', 'standing', 'alive'].includes(item.message.kind));

/**
 * What comes over a line, in order, and while there is work. A step, reading data or validation may take minutes, and a coordinator waits for a hello for
 * seconds: so greetings are answered meanwhile, and all else when the work is done.
 */
export class Attention {
  readonly #line: Line;
  #left: { readonly item: Incoming | null } | undefined;

  constructor(line: Line) {
    this.#line = line;
  }

  next(timeoutMs: number): ReturnType<Line['next']> {
    if (this.#left === undefined) return this.#line.next(timeoutMs);
    const { item } = this.#left;
    this.#left = undefined;
    return Promise.resolve(item);
  }

  /** @param heed takes what need not wait @throws what the work does, or what heeding does once the work is done */
  async meanwhile<T>(work: Promise<T>, heed: (item: Incoming) => Promise<void>): Promise<T> {
    let isDone = false;
    const done = (): void => {
      isDone = true;
      this.#line.wake();
    };
    work.then(done, done);
    await Promise.race([work.catch(() => {}), new Promise((resolve) => setTimeout(resolve, LONG_MS))]);
    try {
      while (!isDone && this.#left === undefined) {
        const item = await this.#line.next(WAIT_MS);
        if (item === 'timeout') continue;
        if (item !== null && isGreeting(item)) await heed(item);
        else this.#left = { item };
      }
    } catch (error) {
      await work.catch(() => {});
      throw error;
    }
    return work;
  }
}
