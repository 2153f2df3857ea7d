import type { Beginning } from '../../protocol/frame.ts';

/** Memory for contributions whose connection broke, one of an island; the oldest are dropped first. */
const MOST_BYTES = 256 * 2 ** 20;

/** The received part of contributions whose connection broke, by island, until it reconnects. */
export class InterruptedTransfers {
  readonly #byIsland = new Map<string, Beginning>();
  #bytes = 0;

  /** Keeps an incomplete contribution, as long as there is room. */
  keep(island: string, beginnings: readonly Beginning[]): void {
    this.take(island);
    const broken = beginnings.findLast(({ payload, received }) => received < payload.length);
    if (broken === undefined || broken.payload.length > MOST_BYTES) return;
    this.#byIsland.set(island, broken);
    this.#bytes += broken.payload.length;
    for (const oldest of this.#byIsland.keys()) {
      if (this.#bytes <= MOST_BYTES) return;
      this.take(oldest);
    }
  }

  /** Returns what was kept of an island's transfer, and forgets it. */
  take(island: string): readonly Beginning[] {
    const broken = this.#byIsland.get(island);
    if (broken === undefined) return [];
    this.#byIsland.delete(island);
    this.#bytes -= broken.payload.length;
    return [broken];
  }
}
