import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { WebSocket } from 'ws';
import { Channel, overWebSocket } from '../../protocol/channel.ts';
import { type Beginning, MAX_FRAME_BYTES, type Packed, type Reception } from '../../protocol/frame.ts';
import { InOrder } from '../../protocol/in-order.ts';
import type { Manifest } from '../../protocol/manifest.ts';
import {
  type CoordinatorMessage,
  coordinatorMessageSchema,
  type IslandMessage,
  MAX_WELCOME_BYTES,
} from '../../protocol/messages.ts';
import { isFinal } from '../../protocol/refusal.ts';
import type { Incoming } from '../host.ts';
import { mostBytesOf } from '../payload-bounds.ts';
import { OTHER_CERTIFICATE, type RouteError, routeErrorOf } from './route-errors.ts';
import type { Ended, Route } from './route-search.ts';

/** How often the island checks for signs of life; every second time it sends its own heartbeat. */
const LOOK_MS = 1_000;
/** From the challenge to the answer whether this island may join: many others may be waiting. */
const ADMISSION_MS = 30_000;
/** The other side's time to close as well. */
const GOODBYE_MS = 1_000;
const LEASE_MS = { least: 1_000, most: 3_600_000 };

export interface ConnectionOptions {
  readonly route: Route;
  /** What came of transfers on earlier connections: they go on. */
  readonly before: readonly Beginning[];
  /** Where what comes is put together; in memory when left out. */
  readonly sink?: Reception['sink'];
  /** How long the route may take until the coordinator's first message. */
  readonly connectMs: number;
  /** Share of the lease after which a silent coordinator is given up. */
  readonly ofLease: number;
  /** A clock that counts what could be heard (`protocol/listening-clock.ts`). */
  readonly nowMs: () => number;
}

export interface ConnectionHandlers {
  /** Called before anything else comes. */
  opened(): void;
  /** Takes what comes, in order; where it was opened, last of all `lost`. */
  put(item: Incoming): void;
  /** Called once, after all else. @param fault what the coordinator did that makes no sense, or what broke on this side */
  ended(ended: Ended, fault: unknown): void;
}

/** One WebSocket to the coordinator, from the attempt to open it. It sends heartbeats, and closes when the coordinator is silent for too long. */
export class WebSocketConnection {
  readonly #options: ConnectionOptions;
  readonly #socket: WebSocket;
  readonly #channel: Channel<typeof coordinatorMessageSchema, IslandMessage>;
  /** Of the welcome: how much may come follows from it. */
  #manifest: Manifest | undefined;
  /** Of a proxy that does not answer. */
  readonly #giveUp = new AbortController();
  readonly #connecting: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;
  #wire: { readonly bytesRead: number; readonly bytesWritten: number } = { bytesRead: 0, bytesWritten: 0 };
  #heardBytes = 0;
  #isAnswered = false;
  #greeted = false;
  /** When it was last heard; whether it has said anything about this island. */
  #heardMs: number;
  #hasSpoken = false;
  #joinedMs: number | null = null;
  #leaseMs = ADMISSION_MS;
  #transferSinceMs: number | undefined;
  #why: string | undefined;
  #remedy: string | undefined;
  #fault: unknown;
  #isSilent = false;
  #retryAfterS: number | null = null;
  #routeAfterS: number | null = null;

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#heardMs = options.nowMs();
    const { url, fingerprint, localAddress } = options.route;
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      // Masks guard caches against scripts in a browser (RFC 6455, section 10.3). Of our own tensors a mask of zeros saves two passes over them.
      generateMask: (mask) => void mask.fill(0),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...proxyFor(url, localAddress, this.#giveUp.signal),
      // The invitation has this certificate's fingerprint, so no authority is needed.
      ...(fingerprint === undefined ? {} : { rejectUnauthorized: false }),
    });
    this.#socket = socket;
    this.#channel = new Channel<typeof coordinatorMessageSchema, IslandMessage>(
      overWebSocket(socket),
      coordinatorMessageSchema,
      {
        most: (content) => mostBytesOf(content, this.#manifest),
        ...(options.sink === undefined ? {} : { sink: options.sink }),
      },
    );
    this.#channel.resumeFrom(options.before);
    const { connectMs } = options;
    const late = (): void => {
      if (!this.#isAnswered) this.end(`no answer within ${Math.round(connectMs / 1000)} s`);
    };
    // After a stall of our own, timers run before anything is read: what waits in the socket counts first.
    this.#connecting = setTimeout(() => setImmediate(late), connectMs);
    socket.once('upgrade', ({ socket: wire }) => {
      this.#wire = wire;
      if (fingerprint === undefined || certificateOf(wire) === fingerprint) return;
      this.#give(OTHER_CERTIFICATE);
    });
    socket.once('unexpected-response', (_, { statusCode, headers }) => {
      const afterS = Number(headers['retry-after']);
      if (afterS > 0) this.#routeAfterS = afterS;
      this.end(`HTTP ${statusCode}`);
    });
    socket.on('error', (error) =>
      this.#give(this.#isAnswered ? { why: error.message } : routeErrorOf(error, options.route)),
    );
    this.#deliver(handlers);
  }

  #deliver(handlers: ConnectionHandlers): void {
    const socket = this.#socket;
    const failed = (fault: unknown): void => {
      this.#fault ??= fault;
      this.#why ??= fault instanceof Error ? fault.message : String(fault);
      this.#closeCleanly(1008);
    };
    // What comes after a transfer that was damaged is for whoever has it: an update of the next version, say.
    let isMissing = false;
    const inOrder = new InOrder<Incoming | 'ended'>(
      (item) => {
        if (item === 'ended') return handlers.ended(this.#ended, this.#fault);
        if (item.kind === 'lost' || (!isMissing && this.#isForSession(item))) handlers.put(item);
      },
      (fault) => {
        isMissing = true;
        failed(fault);
      },
    );
    let isOpen = false;
    socket.once('open', () => {
      isOpen = true;
      handlers.opened();
    });
    socket.on('message', (data: Buffer, isBinary) => {
      if (this.#why !== undefined) return;
      try {
        const item = isBinary ? this.#transferred(data) : this.#told(data.toString());
        if (item !== undefined) inOrder.put(item);
      } catch (error) {
        failed(error);
      }
    });
    socket.once('close', (code, reason) => {
      clearTimeout(this.#connecting);
      clearInterval(this.#heartbeat);
      this.#giveUp.abort();
      this.#why ??= `closed: ${code}${reason.length === 0 ? '' : ` ${reason}`}`;
      if (isOpen) inOrder.put({ kind: 'lost' });
      inOrder.put('ended');
    });
  }

  /** Ends the connection at once, or the try to open one. */
  end(why: string): void {
    this.#why ??= why;
    this.#socket.terminate();
  }

  #give({ why, remedy }: Pick<RouteError, 'why'> & Partial<RouteError>): void {
    // A connection that this side ended says its own error of that.
    if (this.#why === undefined) this.#remedy = remedy;
    this.end(why);
  }

  send(message: IslandMessage): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (message.kind === 'hello') this.#greeted = true;
    this.#channel.send(message);
  }

  async transfer(packed: Packed, from: number): Promise<void> {
    if (this.#socket.readyState === WebSocket.OPEN) await this.#channel.transfer(packed, from);
  }

  /** Sent and received so far, without what TLS and the network add. */
  get bytes(): number {
    return this.#wire.bytesRead + this.#wire.bytesWritten;
  }

  get beginnings(): readonly Beginning[] {
    return this.#channel.beginnings;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  /** Closes cleanly: what was sent before still arrives. */
  close(): void {
    this.#why ??= 'closed by this side';
    this.#closeCleanly(1000);
  }

  #closeCleanly(code: number): void {
    this.#socket.close(code);
    setTimeout(() => this.#socket.terminate(), GOODBYE_MS).unref();
  }

  get #ended(): Ended {
    return {
      why: this.#why ?? 'closed',
      remedy: this.#remedy,
      heardMs: this.#hasSpoken ? this.#heardMs : null,
      joinedMs: this.#joinedMs,
      silent: this.#isSilent,
      retryAfterS: this.#retryAfterS,
      routeAfterS: this.#routeAfterS,
    };
  }

  #told(text: string): Incoming | undefined {
    const message = this.#channel.message(text, MAX_WELCOME_BYTES);
    if (message === undefined) return undefined;
    this.#hear(message);
    if (message.kind === 'welcome') this.#manifest = message.manifest;
    return { kind: 'told', message };
  }

  #hear(message: CoordinatorMessage): void {
    const { nowMs } = this.#options;
    switch (message.kind) {
      case 'challenge':
        this.#isAnswered = true;
        this.#heardMs = nowMs();
        return this.#listen();
      case 'refused':
        return;
      case 'admitted':
        this.#joinedMs = nowMs();
        this.#leaseMs = Math.min(LEASE_MS.most, Math.max(LEASE_MS.least, 1000 * message.leaseS));
        this.#speaks();
        return this.#listen();
      case 'standing':
        return this.#speaks();
      default:
        if (this.#hasSpoken) this.#speaks();
    }
  }

  #speaks(): void {
    this.#hasSpoken = true;
    this.#heardMs = this.#options.nowMs();
  }

  /** The session does not hear of a temporary refusal: the connection is retried when the coordinator allows it. */
  #isForSession(item: Incoming): boolean {
    if (item.kind !== 'told' || item.message.kind !== 'refused' || isFinal(item.message)) return true;
    const { what, retryAfterS } = item.message;
    this.#retryAfterS = retryAfterS ?? null;
    this.end(`refused: ${what}`);
    return false;
  }

  /** Listens from now on whether the coordinator is there. */
  #listen(): void {
    clearInterval(this.#heartbeat);
    let looks = 0;
    const look = (): void => this.#look(looks++ % 2 === 0);
    this.#heartbeat = setInterval(() => setImmediate(look), Math.min(LOOK_MS, this.#leaseMs / 8));
  }

  #look(speaks: boolean): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const { nowMs, ofLease } = this.#options;
    const { bytesRead } = this.#wire;
    // Bytes of a large piece over a thin link count; while this side does not read, nobody can be heard.
    if (this.#hasSpoken && (bytesRead !== this.#heardBytes || this.#socket.isPaused)) this.#heardMs = nowMs();
    this.#heardBytes = bytesRead;
    const silentMs = nowMs() - this.#heardMs;
    if (silentMs > this.#leaseMs * (this.#hasSpoken ? ofLease : 1)) {
      this.#isSilent = true;
      this.end(`silent for ${Math.round(silentMs / 1000)} s`);
    } else if (speaks && this.#greeted) this.#channel.sendAtOnce({ kind: 'alive' });
  }

  #transferred(frame: Buffer): Promise<Incoming> | undefined {
    this.#transferSinceMs ??= performance.now();
    const transfer = this.#channel.frame(frame);
    if (transfer === undefined) return undefined;
    const sinceMs = this.#transferSinceMs;
    this.#transferSinceMs = undefined;
    return transfer.then(({ hash: _, ...received }) => ({ kind: 'received', ...received, sinceMs }));
  }
}

/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY have their usual meaning. */
function proxyFor(
  url: string,
  localAddress: string | undefined,
  signal: AbortSignal,
): { readonly agent?: HttpsProxyAgent<string> } {
  const proxy = getProxyForUrl(url.replace(/^ws/, 'http'));
  if (proxy === '') return {};
  const from = localAddress === undefined ? {} : { localAddress };
  return { agent: new HttpsProxyAgent(proxy, { ...from, signal } as object) };
}

const certificateOf = (socket: Socket): string | undefined =>
  socket instanceof TLSSocket
    ? socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase()
    : undefined;
