import type { Socket } from 'node:net';
import { countedAs } from './address.ts';
import { type ConnectionLimits, RateByAddress, TokenBucket } from './limits.ts';

/** Why somebody was not let in, as metrics count it. */
export const TURNED_AWAY = [
  'gone',
  'rate',
  'crowded',
  'full',
  'silent',
  'too-much',
  'malformed',
  'path',
  'host',
  'origin',
  'refused-before',
  'pressed',
] as const;
export type TurnedAway = (typeof TURNED_AWAY)[number];

/** Addresses of members that are remembered. */
const MAX_MEMBERS = 20_000;

interface Stranger {
  /** Address and port of the other end, as they were when it came. */
  readonly end: string;
  readonly socket: Socket;
  readonly address: string;
  timer: NodeJS.Timeout;
}

/**
 * Limits connections that were not let in yet: silent ones, HTTP requests, islands before their hello is verified. Limits are on bytes and time of each, on their number for each
 * address, and in all. When a limit is reached, the oldest connection of the busiest address is closed, so that whoever is quick gets in.
 */
export class ConnectionGuard {
  readonly #limits: ConnectionLimits;
  readonly #nowMs: () => number;
  readonly #turnedAway: (why: TurnedAway) => void;
  readonly #strangers = new Set<Stranger>();
  /** By remote address and port: with TLS one connection has two sockets, the raw one and the encrypted one. */
  readonly #byEnd = new Map<string, Stranger>();
  readonly #byAddress = new Map<string, Set<Stranger>>();
  readonly #connections: RateByAddress;
  readonly #refusals: RateByAddress;
  readonly #requests: RateByAddress;
  /** Addresses from which somebody was let in, the last one last. */
  readonly #members = new Set<string>();
  readonly #spare: TokenBucket;
  /** Who comes seldom: after a restart nobody was let in yet, and islands are among those. */
  readonly #quiet: RateByAddress;
  readonly #quietInAll: TokenBucket;
  #isPressed = false;
  #newest: string | undefined;
  #sockets = 0;

  /** @param members addresses from which somebody was let in before this process began */
  constructor(
    limits: ConnectionLimits,
    nowMs: () => number,
    turnedAway: (why: TurnedAway) => void,
    members: readonly string[] = [],
  ) {
    for (const address of members.slice(-MAX_MEMBERS)) this.#members.add(address);
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#turnedAway = turnedAway;
    this.#connections = new RateByAddress(limits.connections);
    this.#refusals = new RateByAddress(limits.refusals);
    this.#requests = new RateByAddress(limits.requests);
    this.#quiet = new RateByAddress(limits.quiet);
    this.#quietInAll = new TokenBucket(limits.quietInAll.burst, limits.quietInAll.perS, nowMs());
    this.#spare = new TokenBucket(limits.pressed.burst, limits.pressed.perS, nowMs());
  }

  get strangers(): number {
    return this.#strangers.size;
  }

  /** Addresses from which somebody was let in, as they are counted; the last one last. */
  get members(): readonly string[] {
    return [...this.#members];
  }

  /** The address from which somebody was let in last, since this process began. */
  get newest(): string | undefined {
    return this.#newest;
  }

  get sockets(): number {
    return this.#sockets;
  }

  /** A connection was opened. It is closed at once where it may not be. */
  arrived(socket: Socket): void {
    // A reset must never end more than its own connection.
    socket.on('error', () => socket.destroy());
    const { remoteAddress } = socket;
    // It was reset before it was accepted: it has no remote address.
    if (remoteAddress === undefined) return this.#close(socket, 'gone');
    const address = countedAs(remoteAddress);
    // When all connections are islands, none of them is closed for a newcomer.
    if (this.#sockets >= this.#limits.sockets && !this.#closeOldest(this.#busiest()))
      return this.#close(socket, 'full');
    const nowMs = this.#nowMs();
    if (!this.#connections.take(address, nowMs)) return this.#close(socket, 'rate');
    const isQuiet = this.#quiet.take(address, nowMs);
    if (this.#isPressed && !this.#members.has(address) && !this.#spareFor(isQuiet).take(nowMs))
      return this.#close(socket, 'pressed');
    this.#sockets++;
    this.#makeRoom(address);
    const stranger = this.#add(socket, address);
    socket.once('close', () => {
      this.#sockets--;
      this.#forget(stranger);
    });
  }

  /** It may stay as long as it likes, and send what it has to. */
  letIn(socket: Socket): void {
    const stranger = this.#byEnd.get(endOf(socket));
    if (stranger === undefined) return;
    this.#forget(stranger);
    const { address } = stranger;
    this.#newest = address;
    this.#members.delete(address);
    this.#members.add(address);
    const [oldest] = this.#members;
    if (this.#members.size > MAX_MEMBERS) this.#members.delete(oldest!);
  }

  /**
   * Whether this process is overloaded. Then strangers would take time from islands: of addresses from which no island was ever let in, only a few connections
   * a second are accepted, seldom seen addresses first; the others are closed at once.
   */
  press(isPressed: boolean): void {
    this.#isPressed = isPressed;
  }

  /** Counts bytes of its WebSocket, so that no large message is assembled before the sender is known. */
  watch(socket: Socket): void {
    const stranger = this.#byEnd.get(endOf(socket));
    const look = (): void => {
      if (stranger === undefined || !this.#strangers.has(stranger)) socket.removeListener('data', look);
      else if (socket.bytesRead > this.#limits.bytes) this.#close(socket, 'too-much');
    };
    socket.on('data', look);
  }

  /** It waits for the host's answer: it may stay for so long. */
  waits(socket: Socket, forMs: number): void {
    const stranger = this.#byEnd.get(endOf(socket));
    if (stranger === undefined) return;
    clearTimeout(stranger.timer);
    stranger.timer = this.#closeAfter(stranger.socket, forMs);
  }

  /** Somebody of this address was refused. */
  refused(address: string): void {
    this.#refusals.take(countedAs(address), this.#nowMs());
  }

  /** Whether an address may ask: one that was refused too often is not looked at for a while. */
  mayAsk(address: string): boolean {
    if (this.#refusals.has(countedAs(address), this.#nowMs())) return true;
    this.#turnedAway('refused-before');
    return false;
  }

  /** Whether an address may ask for one thing more by HTTP. */
  mayRequest(address: string): boolean {
    return this.#requests.take(countedAs(address), this.#nowMs());
  }

  #add(socket: Socket, address: string): Stranger {
    const end = endOf(socket);
    const stranger = { end, socket, address, timer: this.#closeAfter(socket, this.#limits.patienceMs) };
    this.#strangers.add(stranger);
    this.#byEnd.set(end, stranger);
    const others = this.#byAddress.get(address);
    if (others === undefined) this.#byAddress.set(address, new Set([stranger]));
    else others.add(stranger);
    return stranger;
  }

  #closeAfter(socket: Socket, ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#close(socket, 'silent'), ms).unref();
  }

  #makeRoom(address: string): void {
    const own = this.#byAddress.get(address);
    if (own !== undefined && own.size >= this.#limits.strangersPerAddress) this.#closeOldest(own);
    if (this.#strangers.size < this.#limits.strangers) return;
    this.#closeOldest(this.#busiest());
  }

  /** Limits all such addresses together: one attacker may have many. */
  #spareFor(isQuiet: boolean): TokenBucket {
    return isQuiet ? this.#quietInAll : this.#spare;
  }

  /** Strangers of the address that has the most. */
  #busiest(): ReadonlySet<Stranger> {
    let most: ReadonlySet<Stranger> = new Set();
    for (const some of this.#byAddress.values()) if (some.size > most.size) most = some;
    return most;
  }

  /** @returns whether there was one */
  #closeOldest(of: ReadonlySet<Stranger>): boolean {
    const [oldest] = of;
    if (oldest === undefined) return false;
    this.#forget(oldest);
    this.#close(oldest.socket, 'crowded');
    return true;
  }

  #close(socket: Socket, why: TurnedAway): void {
    this.#turnedAway(why);
    socket.destroy();
  }

  #forget(stranger: Stranger): void {
    if (!this.#strangers.delete(stranger)) return;
    clearTimeout(stranger.timer);
    const { address, end } = stranger;
    // A port may be in use again before its last connection is seen to be closed.
    if (this.#byEnd.get(end) === stranger) this.#byEnd.delete(end);
    const others = this.#byAddress.get(address)!;
    others.delete(stranger);
    if (others.size === 0) this.#byAddress.delete(address);
  }
}

const endOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
