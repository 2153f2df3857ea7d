/**
 * A clock for silence: it counts only time in which this process could have received something. After it was stopped, blocked or suspended, messages
 * wait in its sockets, and no peer has been silent.
 */
export class ListeningClock {
  /** The longest that one tick may count: what was longer was a stall of our own. */
  readonly #mostMs: number;
  #tickedMs: number;
  #countedMs = 0;

  constructor(mostMs: number, nowMs: number) {
    this.#mostMs = mostMs;
    this.#tickedMs = nowMs;
  }

  /** To be called more often than every `mostMs`, as long as nothing stalls. */
  tick(nowMs: number): void {
    this.#countedMs = this.at(nowMs);
    this.#tickedMs = nowMs;
  }

  /** What it shows at `nowMs`, in milliseconds. */
  at(nowMs: number): number {
    return this.#countedMs + Math.max(0, Math.min(this.#mostMs, nowMs - this.#tickedMs));
  }
}
