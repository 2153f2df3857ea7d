import { HelioError } from '../../errors.ts';
import { RefusedForNow } from '../../protocol/refusal.ts';
import { countedAs, networksOf } from './address.ts';
import type { Knock } from './http.ts';
import type { Hello, Peer } from './peer.ts';

/** An island that asks to join is let in within this, or goes away. */
export const KNOCK_MS = 600_000;
/** How many may wait: in all, and from one address. */
const MAX_KNOCKS = 100;
const MAX_PER_ADDRESS = 5;
/** Time for the host to see who asks, before another takes the place. */
const SEEN_MS = 60_000;
/** A key that was sent away does not ask again for so long; nor does an address from which so many were. */
const SENT_AWAY_MS = 3_600_000;
const MAX_SENT_AWAY_PER_ADDRESS = 3;
const MAX_REMEMBERED = 10_000;
/** When one may ask again that found too many before it, or its own connection of before, which is not known to be gone yet. */
const CROWD_S = 60;
const CONNECTION_S = 15;

interface Waiting {
  readonly peer: Peer;
  readonly hello: Hello;
  readonly address: string;
  readonly networks: readonly string[];
  readonly sinceMs: number;
  /** Ends with it: strangers come and go, and what they said must not stay. */
  readonly patience: NodeJS.Timeout;
}

/** Unknown islands without an invitation, that wait for the host's word. Strangers can shut the door for their own address, and for nobody else. */
export class Knocks {
  /** By key, in the order in which they came. */
  readonly #waiting = new Map<string, Waiting>();
  /** When keys and addresses were sent away. */
  readonly #sentAway = new Map<string, readonly number[]>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get list(): readonly Knock[] {
    return [...this.#waiting.values()].map(({ peer: { address }, hello: { island, key } }) => ({
      island,
      key,
      address,
    }));
  }

  /**
   * @param tired called when the host has not answered for too long, or others are in greater need of the place
   * @throws HelioError HELIO-4003 when it may not even ask
   */
  add(peer: Peer, hello: Hello, tired: (key: string) => void): Knock {
    const { island, key } = hello;
    const address = countedAs(peer.address);
    if (this.#times(key) > 0 || this.#times(address) >= MAX_SENT_AWAY_PER_ADDRESS)
      throw mayNot('The host has sent this island away, or others from its address.');
    if (this.#waiting.has(key)) throw later('This island has asked already, on another connection.', CONNECTION_S);
    const from = Map.groupBy(this.#waiting.values(), (waiting) => waiting.address);
    if ((from.get(address)?.length ?? 0) >= MAX_PER_ADDRESS)
      throw later('Too many islands of this address ask to join.', CROWD_S);
    if (this.#waiting.size >= MAX_KNOCKS) {
      const last = this.#last(networksOf(peer.address));
      if (last === undefined) throw later('Too many islands ask to join.', CROWD_S);
      tired(last.hello.key);
    }
    const patience = setTimeout(() => tired(key), KNOCK_MS).unref();
    const networks = networksOf(peer.address);
    this.#waiting.set(key, { peer, hello, address, networks, sinceMs: this.#nowMs(), patience });
    return { island, key, address: peer.address };
  }

  /**
   * Takes one that waits; the caller answers it.
   *
   * @param key where several ask under one name
   * @throws HelioError HELIO-4003 when the name alone does not say which
   */
  take(island: string, key: string | undefined): Waiting | undefined {
    const named = [...this.#waiting.values()].filter(
      ({ hello }) => hello.island === island && (key === undefined || hello.key.startsWith(key)),
    );
    if (named.length > 1) {
      const keys = named.map(({ hello }) => hello.key.slice(0, 8)).join(', ');
      throw new HelioError(
        'HELIO-4003',
        `${named.length} islands ask to join as ${island}.`,
        `Say whose key it is: ${keys}.`,
      );
    }
    const [knock] = named;
    return knock && this.takeKey(knock.hello.key);
  }

  /** Takes the one with this key. */
  takeKey(key: string): Waiting | undefined {
    const knock = this.#waiting.get(key);
    clearTimeout(knock?.patience);
    this.#waiting.delete(key);
    return knock;
  }

  /** The host does not want it. */
  sentAway({ hello: { key }, address }: Waiting): void {
    const nowMs = this.#nowMs();
    for (const who of [key, address]) this.#sentAway.set(who, [...this.#recent(who), nowMs]);
    for (const who of this.#sentAway.keys()) {
      if (this.#sentAway.size <= MAX_REMEMBERED && this.#times(who) > 0) break;
      this.#sentAway.delete(who);
    }
  }

  /**
   * Who gives way to one more: the oldest of the address with the most, or of the network, as whoever has many addresses has them in few networks. Where
   * all come from everywhere, it is who has waited longest, if the host had time to see it.
   */
  #last(networks: readonly string[]): Waiting | undefined {
    for (const [width, network] of networks.entries()) {
      const crowds = Map.groupBy(this.#waiting.values(), (waiting) => waiting.networks[width]!);
      const [most] = [...crowds.values()].toSorted((a, b) => b.length - a.length);
      if (most!.length > (crowds.get(network)?.length ?? 0) + 1) return most![0];
    }
    const [oldest] = this.#waiting.values();
    return oldest !== undefined && this.#nowMs() - oldest.sinceMs > SEEN_MS ? oldest : undefined;
  }

  forget(peer: Peer): void {
    for (const [key, knock] of this.#waiting) if (knock.peer === peer) this.takeKey(key);
  }

  #times(who: string): number {
    return this.#recent(who).length;
  }

  #recent(who: string): readonly number[] {
    const nowMs = this.#nowMs();
    return (this.#sentAway.get(who) ?? []).filter((atMs) => nowMs - atMs < SENT_AWAY_MS);
  }
}

const later = (what: string, afterS: number): RefusedForNow =>
  new RefusedForNow(what, 'It asks again by itself; an invitation helps at once: `heliotrope invite`.', afterS);
const mayNot = (what: string): HelioError =>
  new HelioError('HELIO-4003', what, 'Ask the host for an invitation: `heliotrope invite`.');
