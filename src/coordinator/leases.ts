import { ListeningClock } from '../protocol/listening-clock.ts';

/** A tick that is later than this is a stall of the coordinator: no more than this is counted as silence. */
const MOST_TICK_MS = 1_000;
/** A browser runs the timers of a hidden tab once a minute. */
const TAB_LEASE_MS = 90_000;
/** After this share of its lease without a whole message, an island's received bytes count as a sign of life. */
const QUIET = 1 / 3;

interface Lease {
  readonly leaseMs: number;
  /** On the listening clock. */
  seenMs: number;
}

export interface Silent {
  readonly island: string;
  readonly silentMs: number;
}

/**
 * When each connected island was last heard of. Heartbeats are many, and decide nothing until they stay away: so they are no events.
 * Silence counts by what could be read: a stall of the coordinator is nobody's silence.
 */
export class Leases {
  readonly #leaseMs: number;
  readonly #leases = new Map<string, Lease>();
  #clock: ListeningClock | undefined;

  /** @param leaseMs of an island that says nothing else */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  seen(island: string, nowMs: number, leaseMs?: number): void {
    this.#clock ??= new ListeningClock(MOST_TICK_MS, nowMs);
    const seenMs = this.#clock.at(nowMs);
    const lease = this.#leases.get(island);
    if (lease !== undefined && leaseMs === undefined) lease.seenMs = seenMs;
    else this.#leases.set(island, { leaseMs: leaseMs ?? this.#leaseMs, seenMs });
  }

  end(island: string): void {
    this.#leases.delete(island);
  }

  /**
   * To be called at each tick, once what waited in the sockets was read. Names islands that were silent for longer than their lease, each once.
   *
   * @param isHeard whether something came of an island that said nothing whole for a while: a large piece over a thin link
   */
  expire(nowMs: number, isHeard: (island: string) => boolean = () => false): readonly Silent[] {
    this.#clock ??= new ListeningClock(MOST_TICK_MS, nowMs);
    this.#clock.tick(nowMs);
    const atMs = this.#clock.at(nowMs);
    const silent: Silent[] = [];
    for (const [island, lease] of this.#leases) {
      const silentMs = atMs - lease.seenMs;
      if (silentMs <= lease.leaseMs * QUIET) continue;
      if (isHeard(island)) lease.seenMs = atMs;
      else if (silentMs > lease.leaseMs) silent.push({ island, silentMs });
    }
    for (const { island } of silent) this.end(island);
    return silent;
  }
}

/** How long an island may keep silent, by what runs it. */
export const leaseOf = (host: 'process' | 'tab' | 'cluster', leaseMs: number): number =>
  host === 'tab' ? Math.max(leaseMs, TAB_LEASE_MS) : leaseMs;

/** Why an island that was silent for so long is gone. */
export const silence = (silentMs: number): string => `silent for ${Math.round(silentMs / 1000)} s`;
