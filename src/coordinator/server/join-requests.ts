import { HelioError } from '../../errors.ts';
import { RefusedForNow } from '../../protocol/refusal.ts';
import { countedAs, networksOf } from './address.ts';
import type { JoinRequest } from './http.ts';
import type { Hello, Peer } from './peer.ts';

/** How long the host has to answer before a request to join expires. */
export const JOIN_REQUEST_MS = 600_000;
/** Requests that may wait: in all, and from one address. */
const MAX_JOIN_REQUESTS = 100;
const MAX_PER_ADDRESS = 5;
/** A request stays at least this long, so that the host can see it, before a newer one may take its place. */
const SEEN_MS = 60_000;
/** A key that the host declined cannot ask again for so long; nor can an address from which so many were declined. */
const DECLINED_MS = 3_600_000;
const MAX_DECLINED_PER_ADDRESS = 3;
const MAX_REMEMBERED = 10_000;
/** Time to wait before asking again: when the list was full, and when its own earlier connection has not closed yet. */
const FULL_S = 60;
const CONNECTION_S = 15;

interface Waiting {
  readonly peer: Peer;
  readonly hello: Hello;
  readonly address: string;
  readonly networks: readonly string[];
  readonly sinceMs: number;
  /** Cleared with the request, so that nothing of it stays in memory. */
  readonly timer: NodeJS.Timeout;
}

/** Islands that ask to join without an invitation, until the host answers. Nobody can fill the list for addresses other than their own. */
export class JoinRequests {
  /** By key, in the order in which they came. */
  readonly #waiting = new Map<string, Waiting>();
  /** When keys and addresses were declined. */
  readonly #declined = new Map<string, readonly number[]>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get list(): readonly JoinRequest[] {
    return [...this.#waiting.values()].map(({ peer: { address }, hello: { island, key } }) => ({
      island,
      key,
      address,
    }));
  }

  /**
   * @param expire called when the host has not answered in time, or when a newer request takes the place
   * @throws HelioError HELIO-4003 when it may not even ask
   */
  add(peer: Peer, hello: Hello, expire: (key: string) => void): JoinRequest {
    const { island, key } = hello;
    const address = countedAs(peer.address);
    if (this.#times(key) > 0 || this.#times(address) >= MAX_DECLINED_PER_ADDRESS)
      throw mayNot('The host declined this island, or others from its address.');
    if (this.#waiting.has(key)) throw later('This island has asked already, on another connection.', CONNECTION_S);
    const from = Map.groupBy(this.#waiting.values(), (waiting) => waiting.address);
    if ((from.get(address)?.length ?? 0) >= MAX_PER_ADDRESS)
      throw later('Too many islands of this address ask to join.', FULL_S);
    if (this.#waiting.size >= MAX_JOIN_REQUESTS) {
      const last = this.#last(networksOf(peer.address));
      if (last === undefined) throw later('Too many islands ask to join.', FULL_S);
      expire(last.hello.key);
    }
    const timer = setTimeout(() => expire(key), JOIN_REQUEST_MS).unref();
    const networks = networksOf(peer.address);
    this.#waiting.set(key, { peer, hello, address, networks, sinceMs: this.#nowMs(), timer });
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
    const [request] = named;
    return request && this.takeKey(request.hello.key);
  }

  /** Takes the one with this key. */
  takeKey(key: string): Waiting | undefined {
    const request = this.#waiting.get(key);
    clearTimeout(request?.timer);
    this.#waiting.delete(key);
    return request;
  }

  /** The host declined it. */
  decline({ hello: { key }, address }: Waiting): void {
    const nowMs = this.#nowMs();
    for (const who of [key, address]) this.#declined.set(who, [...this.#recent(who), nowMs]);
    for (const who of this.#declined.keys()) {
      if (this.#declined.size <= MAX_REMEMBERED && this.#times(who) > 0) break;
      this.#declined.delete(who);
    }
  }

  /**
   * Which request makes room for a new one: the oldest of the address, or else of the network, that has the most, as an attacker with many addresses has
   * them in few networks. If all are spread evenly it is the oldest request, once the host had time to see it.
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
    for (const [key, request] of this.#waiting) if (request.peer === peer) this.takeKey(key);
  }

  #times(who: string): number {
    return this.#recent(who).length;
  }

  #recent(who: string): readonly number[] {
    const nowMs = this.#nowMs();
    return (this.#declined.get(who) ?? []).filter((atMs) => nowMs - atMs < DECLINED_MS);
  }
}

const later = (what: string, afterS: number): RefusedForNow =>
  new RefusedForNow(what, 'It asks again by itself; an invitation helps at once: `heliotrope invite`.', afterS);
const mayNot = (what: string): HelioError =>
  new HelioError('HELIO-4003', what, 'Ask the host for an invitation: `heliotrope invite`.');
