import { BlockList, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { countedAs } from '../../coordinator/server/address.ts';

/**
 * How often a code may be guessed. A code has {@link CODE_BITS} bits, and each exchange tries one: what is counted is every exchange that
 * begins, and given back when the code was right.
 *
 * Strangers must not block those who know the code, so there are two limits. Addresses that were not wrong several times share one; the others share
 * a second, slower one. To exhaust the first, an attacker needs a new address for every {@link KNOWN_AFTER} guesses.
 */

/** A burst at once, then one in each interval. */
interface Rate {
  readonly burst: number;
  readonly everyMs: number;
}

const PER_ADDRESS: Rate = { burst: 10, everyMs: 60_000 };
const FRESH: Rate = { burst: 60, everyMs: 10_000 };
const KNOWN: Rate = { burst: 20, everyMs: 60_000 };
/** Wrong guesses after which an address counts as one that guesses, for a day after the last. */
const KNOWN_AFTER = 3;
const REMEMBER_MS = 86_400_000;

/** The most that all addresses together guess in the long run. */
export const GUESSES_PER_DAY = 86_400_000 / FRESH.everyMs + 86_400_000 / KNOWN.everyMs;

/** One guess that was allowed. */
export interface Guess {
  readonly block: string;
  readonly lane: 'fresh' | 'known';
}

interface Guesser {
  /** When all that it took is given back, as the generic cell rate algorithm has it (ITU-T I.371). */
  fullMs: number;
  wrong: number;
  lastMs: number;
}

export class GuessLimiter {
  /** The one that guessed longest ago first. At most as many as the limits allow in a day. */
  readonly #guessers = new Map<string, Guesser>();
  readonly #lanes = { fresh: { rate: FRESH, fullMs: 0 }, known: { rate: KNOWN, fullMs: 0 } };

  /** @returns the guess, which counts as wrong until it is given back; or the seconds after which to come again */
  take(address: string, nowMs: number): Guess | { readonly afterS: number } {
    this.#forget(nowMs);
    const block = countedAs(address);
    const guesser = this.#guessers.get(block) ?? { fullMs: 0, wrong: 0, lastMs: nowMs };
    const lane = guesser.wrong < KNOWN_AFTER ? 'fresh' : 'known';
    const shared = this.#lanes[lane];
    const waitMs = Math.max(wait(guesser.fullMs, PER_ADDRESS, nowMs), wait(shared.fullMs, shared.rate, nowMs));
    if (waitMs > 0) return { afterS: Math.ceil(waitMs / 1_000) };
    guesser.fullMs = Math.max(nowMs, guesser.fullMs) + PER_ADDRESS.everyMs;
    shared.fullMs = Math.max(nowMs, shared.fullMs) + shared.rate.everyMs;
    guesser.wrong++;
    guesser.lastMs = nowMs;
    this.#guessers.delete(block);
    this.#guessers.set(block, guesser);
    return { block, lane };
  }

  /** It was right. */
  giveBack({ block, lane }: Guess): void {
    const [guesser, shared] = [this.#guessers.get(block), this.#lanes[lane]];
    shared.fullMs -= shared.rate.everyMs;
    if (guesser === undefined) return;
    guesser.fullMs -= PER_ADDRESS.everyMs;
    guesser.wrong--;
  }

  #forget(nowMs: number): void {
    for (const [block, { lastMs }] of this.#guessers) {
      if (nowMs - lastMs < REMEMBER_MS) return;
      this.#guessers.delete(block);
    }
  }
}

/** How long until one more may happen. */
const wait = (fullMs: number, { burst, everyMs }: Rate, nowMs: number): number =>
  Math.max(0, fullMs - nowMs - (burst - 1) * everyMs);

/** An IPv4 address mapped into IPv6 counts as IPv4; the zone of a link-local address is ignored. */
const withoutZone = (address: string): string => address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');

/** Private, link-local and loopback addresses, and the networks that this machine itself is in: who finds a run by multicast has one. */
export function isLocal(address: string): boolean {
  const local = new BlockList();
  for (const [network, bits] of PRIVATE) local.addSubnet(network, bits, network.includes(':') ? 'ipv6' : 'ipv4');
  for (const { address: own, cidr, family } of Object.values(networkInterfaces()).flatMap((list) => list ?? [])) {
    const bits = Number(cidr?.split('/')[1] ?? Number.NaN);
    if (bits >= MIN_NETWORK_BITS) local.addSubnet(own, bits, family === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  const plain = withoutZone(address);
  return plain !== '' && local.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

/** What calls a larger part of the world its own network is a route, not a network. */
const MIN_NETWORK_BITS = 8;
const PRIVATE: readonly (readonly [network: string, bits: number])[] = [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
];
