/** When each connected island was last heard of. Heartbeats are many, and decide nothing until they stay away: so they are no events. */
export class Leases {
  readonly #leaseMs: number;
  readonly #seenMs = new Map<string, number>();

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  seen(island: string, nowMs: number): void {
    this.#seenMs.set(island, nowMs);
  }

  end(island: string): void {
    this.#seenMs.delete(island);
  }

  /** Islands that were silent for longer than their lease, and how long; each is named once. */
  expire(nowMs: number): readonly { readonly island: string; readonly silentMs: number }[] {
    const silent = [...this.#seenMs]
      .map(([island, seenMs]) => ({ island, silentMs: nowMs - seenMs }))
      .filter(({ silentMs }) => silentMs > this.#leaseMs);
    for (const { island } of silent) this.end(island);
    return silent;
  }
}

/** Why an island that was silent for so long is gone. */
export const silence = (silentMs: number): string => `silent for ${Math.round(silentMs / 1000)} s`;
