import { setTimeout as sleep } from 'node:timers/promises';
import { HelioError } from '../../errors.ts';
import type { Beginning, Packed } from '../../protocol/frame.ts';
import type { IslandMessage } from '../../protocol/messages.ts';
import type { Incoming, Line } from '../host.ts';
import { type Route, WebSocketConnection } from './connection.ts';

/** Unread items at which the island stops reading from the socket. */
const MAX_INBOX = 256;
/** The first wait between two tries, and the longest; each is drawn from the upper half, so that islands do not all knock at once. */
const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;

export interface LineOptions {
  /** Ways to the same coordinator, the best first; the next one takes over when one fails. */
  readonly routes: readonly Route[];
  /** How long to look for a coordinator that does not answer (any more). */
  readonly patienceS: number;
  readonly log: (sentence: string) => void;
}

/** The way to the coordinator with an inbox; it opens connections anew for as long as its patience lasts. */
export class ReconnectingLine implements Line {
  readonly #options: LineOptions;
  readonly #inbox: Incoming[] = [];
  readonly #closing = new AbortController();
  /** The connection that is open, and the one that the session has been told of: only on that it speaks. */
  #connection: WebSocketConnection | undefined;
  #known: WebSocketConnection | undefined;
  /** What came of transfers before the last connection broke. */
  #beginnings: readonly Beginning[] = [];
  #wake: (() => void) | undefined;
  #fault: { readonly error: unknown } | undefined;

  constructor(options: LineOptions) {
    this.#options = options;
    void this.#connect();
  }

  send(message: IslandMessage): void {
    this.#known?.send(message);
  }

  async transfer(packed: Packed, from: number): Promise<void> {
    await this.#known?.transfer(packed, from);
  }

  get beginnings(): Line['beginnings'] {
    return this.#beginnings.map(({ hash, received }) => ({ hash, bytes: received }));
  }

  wake(): void {
    this.#wake?.();
  }

  async next(timeoutMs: number): Promise<Incoming | 'timeout' | null> {
    const over = (): boolean => this.#closing.signal.aborted || this.#fault !== undefined;
    // Between two steps nobody waits: the socket delivers while the trainer's thread computes.
    if (this.#inbox.length === 0 && timeoutMs > 0 && !over()) await this.#arrival(timeoutMs);
    const item = this.#inbox.shift();
    if (this.#inbox.length < MAX_INBOX) this.#connection?.resume();
    if (item?.kind === 'connected') this.#known = this.#connection;
    if (item?.kind === 'lost') this.#known = undefined;
    if (item !== undefined) return item;
    if (this.#fault !== undefined) throw this.#fault.error;
    return this.#closing.signal.aborted ? null : 'timeout';
  }

  close(): void {
    this.#closing.abort();
    this.#connection?.close();
    this.#wake?.();
  }

  /** Tries all routes in turn until a connection is open, and again when it is lost. */
  async #connect(): Promise<void> {
    const { routes, patienceS, log } = this.#options;
    const sinceMs = performance.now();
    let delayMs = FIRST_DELAY_MS;
    for (let tries = 0; !this.#closing.signal.aborted; tries++) {
      const route = routes[tries % routes.length]!;
      try {
        const opened = (connection: WebSocketConnection): void => {
          this.#connection = connection;
          this.#deliver({ kind: 'connected' });
        };
        await WebSocketConnection.open(route, this.#beginnings, opened, (item, fault) => this.#put(item, fault));
        if (this.#closing.signal.aborted) this.#connection?.close();
        if (tries % routes.length > 0) log(`connected by ${describe(route)}`);
        return;
      } catch (error) {
        const unreachable = error instanceof HelioError && error.code === 'HELIO-4002';
        if (!unreachable || performance.now() - sinceMs > 1000 * patienceS) return this.#fail(error);
      }
      if ((tries + 1) % routes.length > 0) continue;
      const jitterMs = delayMs * (0.5 + 0.5 * Math.random());
      delayMs = Math.min(LONGEST_DELAY_MS, 2 * delayMs);
      await sleep(jitterMs, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  #put(item: Incoming, fault: unknown): void {
    this.#deliver(item);
    if (item.kind !== 'lost') return;
    this.#beginnings = this.#connection?.beginnings ?? [];
    this.#connection = undefined;
    if (fault !== undefined) return this.#fail(fault);
    if (this.#closing.signal.aborted) return;
    this.#options.log('connection lost; training on, and looking for the coordinator');
    void this.#connect();
  }

  #fail(error: unknown): void {
    this.#fault ??= { error };
    this.#wake?.();
  }

  #deliver(item: Incoming): void {
    this.#inbox.push(item);
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

const describe = ({ url, localAddress }: Route): string =>
  `${new URL(url).host}${localAddress === undefined ? '' : ` from ${localAddress}`}`;
