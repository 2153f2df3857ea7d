import { setTimeout as sleep } from 'node:timers/promises';
import { HelioError } from '../../errors.ts';
import type { Beginning, Packed, Reception } from '../../protocol/frame.ts';
import { ListeningClock } from '../../protocol/listening-clock.ts';
import type { IslandMessage } from '../../protocol/messages.ts';
import type { CoordinatorConnection, Incoming } from '../host.ts';
import { WebSocketConnection } from './connection.ts';
import { describeRoute, type Ended, type Route, RouteSearch } from './route-search.ts';

/** Unread items at which the island stops reading from the socket. */
const MAX_INBOX = 256;
/** Share of the lease after which a route is given up: with several routes, early enough for the next before the lease expires. */
const OF_LEASE = { alone: 1, ofSeveral: 2 / 3 };
/** Malformed answers in a row on each route, after which it is another program or version. */
const MAX_FAULTS = 5;
const TICK_MS = 500;
const MOST_TICK_MS = 2_000;

export interface ReconnectingConnectionOptions {
  /** Ways to the same coordinator, the best first; the next one takes over when one fails. */
  readonly routes: readonly Route[];
  /** How long to look for a coordinator that does not answer (any more). */
  readonly patienceS: number;
  readonly log: (sentence: string) => void;
  /** Where what comes is put together; in memory when left out. */
  readonly sink?: Reception['sink'];
  /** Told now and then how many bytes were sent and received since. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** A connection with an inbox. It reconnects until its patience is over. */
export class ReconnectingConnection implements CoordinatorConnection {
  readonly #options: ReconnectingConnectionOptions;
  #search: RouteSearch;
  readonly #clock = new ListeningClock(MOST_TICK_MS, performance.now());
  readonly #ticker = setInterval(() => {
    this.#clock.tick(performance.now());
    this.#tellBytes(this.#connection);
  }, TICK_MS);
  readonly #inbox: { readonly item: Incoming; readonly connection: WebSocketConnection }[] = [];
  readonly #closing = new AbortController();
  /** The connection that is open, and the one that the session has been told of: only on that it speaks. */
  #connection: WebSocketConnection | undefined;
  /** Of what it has sent and received, how much was told. */
  #toldBytes = 0;
  #known: WebSocketConnection | undefined;
  /** What came of transfers before the last connection broke. */
  #beginnings: readonly Beginning[] = [];
  #wake: (() => void) | undefined;
  #fault: { readonly error: unknown } | undefined;
  #faults = 0;
  /** The coordinator's final refusal or end: nothing comes after it. */
  #isOver = false;
  readonly #said = new Map<Route, string>();
  #wasAdmitted = false;
  /** While its island sleeps: resolved when it is to connect again. */
  #sleep: PromiseWithResolvers<void> | undefined;

  constructor(options: ReconnectingConnectionOptions) {
    this.#options = options;
    this.#search = new RouteSearch(options.routes, options.patienceS, this.#nowMs());
    void this.#keepConnected().catch((error: unknown) => this.#fail(error));
  }

  send(message: IslandMessage): void {
    this.#known?.send(message);
  }

  async transfer(packed: Packed, from: number): Promise<void> {
    await this.#known?.transfer(packed, from);
  }

  get beginnings(): CoordinatorConnection['beginnings'] {
    return this.#beginnings.map(({ hash, received }) => ({ hash, bytes: received }));
  }

  wake(): void {
    this.#wake?.();
  }

  async next(timeoutMs: number): Promise<Incoming | 'timeout' | null> {
    const over = (): boolean => this.#closing.signal.aborted || this.#fault !== undefined;
    // Between two steps nobody waits: the socket delivers while the trainer's thread computes.
    if (this.#inbox.length === 0 && timeoutMs > 0 && !over()) await this.#arrival(timeoutMs);
    const next = this.#inbox.shift();
    if (this.#inbox.length < MAX_INBOX) this.#connection?.resume();
    // While it was at work one connection may have ended and the next begun: an answer goes where the question came from.
    if (next?.item.kind === 'connected') this.#known = next.connection;
    if (next?.item.kind === 'lost') this.#known = undefined;
    if (next !== undefined) return next.item;
    if (this.#fault !== undefined) throw this.#fault.error;
    return this.#closing.signal.aborted ? null : 'timeout';
  }

  close(): void {
    this.#closing.abort();
    clearInterval(this.#ticker);
    this.#connection?.close();
    this.#sleep?.resolve();
    this.#wake?.();
  }

  sleep(): void {
    this.#sleep ??= Promise.withResolvers();
    this.#connection?.close();
  }

  /** Patience begins anew: nobody was looked for meanwhile. */
  awaken(): void {
    const { routes, patienceS } = this.#options;
    this.#search = new RouteSearch(routes, patienceS, this.#nowMs());
    this.#sleep?.resolve();
    this.#sleep = undefined;
  }

  /** Keeps a connection open for as long as its patience lasts, and it is not asleep. */
  async #keepConnected(): Promise<void> {
    while (!this.#isClosed) {
      await this.#sleep?.promise;
      const { ended, fault } = await this.#connect().catch(failedToOpen);
      if (this.#isClosed) return;
      if (fault !== undefined) this.#count(fault);
      else if (ended.joinedMs !== null) this.#faults = 0;
      if (this.#sleep !== undefined) continue;
      const { route } = this.#search;
      const waitMs = this.#search.after(ended, this.#nowMs());
      if (waitMs === null) throw this.#search.unreachable;
      this.#say(route, ended, waitMs);
      await sleep(waitMs, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  /** Opens a connection on the present route. Resolves when it is over. */
  #connect(): Promise<{ readonly ended: Ended; readonly fault: unknown }> {
    const { route, hasOthers, isDetour } = this.#search;
    return new Promise((resolve) => {
      const connection = new WebSocketConnection(
        {
          route,
          before: this.#beginnings,
          ...(this.#options.sink === undefined ? {} : { sink: this.#options.sink }),
          connectMs: this.#search.connectMs(this.#nowMs()),
          ofLease: hasOthers ? OF_LEASE.ofSeveral : OF_LEASE.alone,
          nowMs: () => this.#nowMs(),
        },
        {
          opened: () => {
            if (this.#isClosed) return connection.close();
            this.#deliver({ kind: 'connected' }, connection);
          },
          put: (item) => {
            if (item.kind === 'told' && item.message.kind === 'refused') this.#isOver = true;
            if (item.kind === 'told' && item.message.kind === 'admitted') this.#admitted(route, isDetour);
            if (item.kind === 'lost') this.#beginnings = connection.beginnings;
            this.#deliver(item, connection);
          },
          ended: (ended, fault) => {
            this.#tellBytes(connection);
            this.#toldBytes = 0;
            this.#connection = undefined;
            resolve({ ended, fault });
          },
        },
      );
      // Before it is open, so that close() ends the attempt.
      this.#connection = connection;
    });
  }

  #tellBytes(connection: WebSocketConnection | undefined): void {
    const bytes = connection?.bytes ?? 0;
    if (bytes <= this.#toldBytes) return;
    this.#options.onBytes?.(bytes - this.#toldBytes);
    this.#toldBytes = bytes;
  }

  #admitted(route: Route, isDetour: boolean): void {
    this.#said.clear();
    if (isDetour) this.#options.log(`connected by ${describeRoute(route)}`);
    else if (this.#wasAdmitted) this.#options.log('connected again');
    this.#wasAdmitted = true;
  }

  /** After a malformed message it is tried again: the connection may have damaged it. */
  #count(fault: unknown): void {
    this.#faults++;
    if (!(fault instanceof HelioError) || this.#faults >= MAX_FAULTS * this.#options.routes.length) throw fault;
  }

  /** Reports the error of each route once, until it changes. */
  #say(route: Route, { why, remedy, joinedMs, retryAfterS }: Ended, waitMs: number): void {
    const { log } = this.#options;
    if (joinedMs !== null) return log(`connection lost (${why}); training on, and looking for the coordinator`);
    if (this.#said.get(route) === why) return;
    this.#said.set(route, why);
    if (retryAfterS !== null) log(`${why} Asking again in ${Math.ceil(waitMs / 1000)} s`);
    else log(`${describeRoute(route)}: ${why}; trying on.${remedy === undefined ? '' : ` ${remedy}`}`);
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted || this.#isOver;
  }

  #nowMs(): number {
    return this.#clock.at(performance.now());
  }

  #fail(error: unknown): void {
    this.#fault ??= { error };
    this.#wake?.();
  }

  #deliver(item: Incoming, connection: WebSocketConnection): void {
    this.#inbox.push({ item, connection });
    if (this.#inbox.length >= MAX_INBOX) this.#connection?.pause();
    this.#wake?.();
  }

  #arrival(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), timeoutMs);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** An address that Node rejects: others may be valid. */
const failedToOpen = (error: unknown): { readonly ended: Ended; readonly fault: unknown } => {
  const why = error instanceof Error ? error.message : String(error);
  return { ended: { why, heardMs: null, joinedMs: null, silent: false, retryAfterS: null }, fault: undefined };
};
