/** A limit on how often something may happen: so many at once, and then so many a second. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perS: number;
  #tokens: number;
  #atMs: number;

  constructor(burst: number, perS: number, nowMs: number) {
    this.#burst = burst;
    this.#perS = perS;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** @returns whether it may happen now */
  take(nowMs: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perS);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Whether it has forgotten everything: nothing would change without it. */
  isFull(nowMs: number): boolean {
    return this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perS >= this.#burst;
  }
}

/** Connections that one address may open: many behind one router come back at once after a power cut, and then calm down. */
const CONNECTIONS = { burst: 2_000, perS: 50 };
/** Control messages on one connection. */
const MESSAGES = { burst: 2_000, perS: 200 };
const MAX_ADDRESSES = 100_000;

/** How often each address may connect. */
export class ConnectionLimits {
  readonly #addresses = new Map<string, TokenBucket>();

  mayConnect(address: string, nowMs: number): boolean {
    if (this.#addresses.size >= MAX_ADDRESSES)
      for (const [known, bucket] of this.#addresses) if (bucket.isFull(nowMs)) this.#addresses.delete(known);
    let bucket = this.#addresses.get(address);
    if (bucket === undefined) {
      if (this.#addresses.size >= MAX_ADDRESSES) return false;
      bucket = new TokenBucket(CONNECTIONS.burst, CONNECTIONS.perS, nowMs);
      this.#addresses.set(address, bucket);
    }
    return bucket.take(nowMs);
  }
}

export const messageLimit = (nowMs: number): TokenBucket => new TokenBucket(MESSAGES.burst, MESSAGES.perS, nowMs);
