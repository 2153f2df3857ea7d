import { readdirSync, readFileSync } from 'node:fs';

/** A token bucket: a burst at once, then so many a second. */
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

  /** Whether it may happen now, without counting it. */
  has(nowMs: number): boolean {
    return this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perS >= 1;
  }

  /** Whether the bucket is full again, so that it can be dropped. */
  isFull(nowMs: number): boolean {
    return this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perS >= this.#burst;
  }
}

export interface Rate {
  readonly burst: number;
  readonly perS: number;
}

const MAX_ADDRESSES = 100_000;
/** How often full buckets are dropped. */
const SWEEP_MS = 1_000;

/** How often each address may do something. */
export class RateByAddress {
  readonly #rate: Rate;
  readonly #addresses = new Map<string, TokenBucket>();
  #sweepMs = 0;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Whether it may be done now, without counting it. */
  has(address: string, nowMs: number): boolean {
    return this.#addresses.get(address)?.has(nowMs) ?? true;
  }

  take(address: string, nowMs: number): boolean {
    if (this.#addresses.size >= MAX_ADDRESSES && nowMs >= this.#sweepMs) {
      this.#sweepMs = nowMs + SWEEP_MS;
      for (const [known, bucket] of this.#addresses) if (bucket.isFull(nowMs)) this.#addresses.delete(known);
    }
    let bucket = this.#addresses.get(address);
    if (bucket === undefined) {
      if (this.#addresses.size >= MAX_ADDRESSES) return false;
      bucket = new TokenBucket(this.#rate.burst, this.#rate.perS, nowMs);
      this.#addresses.set(address, bucket);
    }
    return bucket.take(nowMs);
  }
}

/** Control messages of an island, and of one who was not let in yet. */
const MESSAGES: Rate = { burst: 2_000, perS: 200 };
const STRANGERS_MESSAGES: Rate = { burst: 8, perS: 1 };

export const messageLimit = (nowMs: number): TokenBucket => new TokenBucket(MESSAGES.burst, MESSAGES.perS, nowMs);
export const strangersLimit = (nowMs: number): TokenBucket =>
  new TokenBucket(STRANGERS_MESSAGES.burst, STRANGERS_MESSAGES.perS, nowMs);

/** Limits on connections that were not let in. */
export interface ConnectionLimits {
  /** Connections in all, islands included. */
  readonly sockets: number;
  /** Connections that were not let in: in all, and of one address. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
  /** Bytes that each of them may send, and for how long it may stay. */
  readonly bytes: number;
  readonly patienceMs: number;
  /** New connections of one address: after a power cut, many islands behind one router come back at once. */
  readonly connections: Rate;
  /** Refusals of one address, before it has to wait. */
  readonly refusals: Rate;
  /** HTTP requests of one address: a connection may carry many, and what they cost is our time. */
  readonly requests: Rate;
  /** Under overload: up to which rate an address counts as seldom seen, and how many connections of such addresses are accepted in all. */
  readonly quiet: Rate;
  readonly quietInAll: Rate;
  /** Under overload: connections of all other addresses from which no island was let in. */
  readonly pressed: Rate;
}

const MOST_SOCKETS = 20_000;
/** Descriptors that are kept back for the store, its blobs, and whatever a library opens. */
const KEPT_BACK = 64;
/** Where the system does not say how many there may be. */
const USUAL_DESCRIPTORS = 1_024;

/** @param descriptors that this process may open, and has open */
export function connectionLimits({ most, open } = descriptors()): ConnectionLimits {
  const sockets = Math.max(16, Math.min(MOST_SOCKETS, most - open - KEPT_BACK));
  const strangers = Math.min(2_000, Math.ceil(sockets / 2));
  return {
    sockets,
    strangers,
    strangersPerAddress: Math.max(8, Math.ceil(strangers / 4)),
    bytes: 64 * 1024,
    patienceMs: 12_000,
    connections: { burst: 2_000, perS: 50 },
    refusals: { burst: 100, perS: 2 },
    requests: { burst: 200, perS: 20 },
    quiet: { burst: 8, perS: 0.5 },
    quietInAll: { burst: 100, perS: 100 },
    pressed: { burst: 50, perS: 50 },
  };
}

/** On Linux; Node raises the limit to the highest that it may when it begins. */
function descriptors(): { readonly most: number; readonly open: number } {
  try {
    const most = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return { most: most === 'unlimited' ? MOST_SOCKETS * 2 : Number(most), open: readdirSync('/proc/self/fd').length };
  } catch {
    return { most: USUAL_DESCRIPTORS, open: 64 };
  }
}
