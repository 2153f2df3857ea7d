import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { explainSystemError } from '../../errors.ts';
import { MAX_FRAME_BYTES } from '../../protocol/frame.ts';
import { RUN_PATH } from '../../protocol/messages.ts';
import { ConnectionGuard, type TurnedAway } from './connection-guard.ts';
import { EventLoopLoad } from './event-loop-load.ts';
import { type ConnectionLimits, connectionLimits } from './limits.ts';
import { type KnownNames, refusalOf } from './origin-check.ts';

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  /** Certificate and key in PEM; undefined: connections are not encrypted. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly known: KnownNames;
  readonly limits?: ConnectionLimits | undefined;
  readonly members?: readonly string[] | undefined;
  /** Keeps from where islands were let in, for the process that follows this one. */
  readonly onMembers?: ((addresses: readonly string[]) => void) | undefined;
  readonly nowMs: () => number;
}

export interface ListenerHandlers {
  readonly request: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** An island's connection; nobody knows yet whose. */
  readonly socket: (socket: WebSocket, wire: Socket, address: string) => void;
  readonly turnedAway: (why: TurnedAway) => void;
  /** Something went wrong that should not: it is one connection's, and is told with its place. */
  readonly fault: (error: unknown, place: string) => void;
}

/** Share of its time that this process may be busy before strangers have to wait. */
const BUSY = 0.75;
const KEEP_MEMBERS_MS = 5_000;
/** How long headers, and a whole request, may take; and how long a connection is kept for the next one. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
const KEEP_ALIVE_MS = 5_000;
const MAX_REQUESTS_PER_SOCKET = 100;
/** How long the other side may take to answer a close; whoever was refused is gone then, whatever he does. */
const CLOSE_MS = 2_000;
/** Connections that the system hands over before those that make room for them are gone. */
const ROOM_TO_CLOSE = 16;

/** The port: accepts connections and closes broken ones. Input on one connection can end only that connection. */
export class Listener {
  readonly guard: ConnectionGuard;
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #options: ListenerOptions;
  readonly #busy = new EventLoopLoad();
  #kept: { readonly newest: string | undefined; readonly nextMs: number } = { newest: undefined, nextMs: 0 };
  #handlers: ListenerHandlers | undefined;

  private constructor(options: ListenerOptions, http: HttpServer) {
    this.#options = options;
    this.#http = http;
    const limits = options.limits ?? connectionLimits();
    this.guard = new ConnectionGuard(limits, options.nowMs, (why) => this.#handlers?.turnedAway(why), options.members);
    this.#sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      // Its types do not know this one yet.
      ...{ closeTimeout: CLOSE_MS },
    });
    http.headersTimeout = HEADERS_MS;
    http.requestTimeout = REQUEST_MS;
    http.keepAliveTimeout = KEEP_ALIVE_MS;
    http.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
    // More than there may be, so that the guard decides who stays.
    http.maxConnections = limits.sockets + ROOM_TO_CLOSE;
    http.on('connection', (socket: Socket) => this.guard.arrived(socket));
  }

  /** From now on connections are handled. */
  begin(handlers: ListenerHandlers): void {
    const http = this.#http;
    this.#handlers = handlers;
    this.#sockets.on('error', (error) => handlers.fault(error, 'the WebSocket server'));
    this.#sockets.on('wsClientError', (_, socket) => this.#turnAway(socket, '400 Bad Request', 'malformed'));
    http.on('drop', () => handlers.turnedAway('full'));
    http.on('dropRequest', (_, socket) => {
      // Of one packet a thousand may come: none of the next is read.
      if (!socket.destroyed) handlers.turnedAway('rate');
      socket.destroy();
    });
    http.on('clientError', (_, socket) => this.#turnAway(socket, '400 Bad Request', 'malformed'));
    http.on('tlsClientError', (_, socket: Socket) => {
      handlers.turnedAway('malformed');
      socket.destroy();
    });
    http.on('error', (error) => handlers.fault(error, 'accepting connections'));
    http.on('request', (request, response) =>
      this.#guarded(request, handlers, 'a request', () => this.#request(handlers, request, response)),
    );
    http.on('upgrade', (request, socket, head) =>
      this.#guarded(request, handlers, 'an upgrade', () => this.#upgrade(handlers, request, socket, head)),
    );
  }

  /** @throws HelioError HELIO-4001 when the port is in use */
  static async start(options: ListenerOptions): Promise<Listener> {
    const http = options.tls === undefined ? createServer() : createSecureServer(options.tls);
    await new Promise<void>((resolve, reject) => {
      const failed = (error: unknown): void =>
        reject(explainSystemError(error, `listen on ${options.host}:${options.port}`));
      http.once('error', failed);
      http.listen(options.port, options.host, () => {
        http.removeListener('error', failed);
        resolve();
      });
    });
    return new Listener(options, http);
  }

  /** To be called regularly: how much there is to do decides who is looked at, and from where islands came is kept. */
  tick(): void {
    this.guard.press(this.#busy.share() > BUSY);
    const nowMs = this.#options.nowMs();
    const { newest } = this.guard;
    if (newest === this.#kept.newest || nowMs < this.#kept.nextMs) return;
    this.#kept = { newest, nextMs: nowMs + KEEP_MEMBERS_MS };
    this.#options.onMembers?.(this.guard.members);
  }

  /** The port that it listens on. */
  get port(): number {
    const address = this.#http.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** Open WebSockets. */
  get clients(): ReadonlySet<WebSocket> {
    return this.#sockets.clients;
  }

  /** New connections see this certificate; those that are open go on. */
  useCertificate(tls: { readonly cert: string; readonly key: string }): void {
    if (this.#http instanceof SecureServer) this.#http.setSecureContext(tls);
  }

  /** @param code of the WebSockets' close */
  async close(code: number): Promise<void> {
    for (const socket of this.#sockets.clients) socket.close(code);
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
      this.#http.closeAllConnections();
    }, 2_000).unref();
    await closed;
  }

  #request(handlers: ListenerHandlers, request: IncomingMessage, response: ServerResponse): void {
    const tooMany = this.guard.mayRequest(request.socket.remoteAddress ?? '') ? undefined : 'rate';
    const why = tooMany ?? this.#refusal(request);
    if (why === undefined) {
      handlers.request(request, response).catch((error: unknown) => {
        handlers.fault(error, 'a request');
        request.socket.destroy();
      });
      return;
    }
    handlers.turnedAway(why);
    const [status, what] = REFUSALS[why];
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(`${JSON.stringify({ error: what })}\n`);
  }

  #upgrade(handlers: ListenerHandlers, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const wire = request.socket;
    wire.on('error', () => wire.destroy());
    const path = pathOf(request.url);
    if (path === undefined) return this.#turnAway(socket, '400 Bad Request', 'malformed');
    if (path !== RUN_PATH) return this.#turnAway(socket, '404 Not Found', 'path');
    const why = this.#refusal(request);
    if (why !== undefined)
      return this.#turnAway(socket, why === 'host' ? '421 Misdirected Request' : '403 Forbidden', why);
    const address = wire.remoteAddress ?? '';
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.guard.watch(wire);
      handlers.socket(webSocket, wire, address);
    });
  }

  #refusal(request: IncomingMessage): 'host' | 'origin' | undefined {
    return refusalOf(request.headers, this.#options.known);
  }

  #turnAway(socket: Duplex, status: string, why: TurnedAway): void {
    this.#handlers?.turnedAway(why);
    socket.on('error', () => socket.destroy());
    if (!socket.writable) return void socket.destroy();
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  }

  #guarded(request: IncomingMessage, handlers: ListenerHandlers, place: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      handlers.fault(error, place);
      request.socket.destroy();
    }
  }
}

const REFUSALS = {
  rate: [429, 'This address asks too often. Wait a few seconds.'],
  host: [421, 'This coordinator is not known by that name. Its host can name it: serve --announce NAME:PORT.'],
  origin: [
    403,
    'Pages of other origins may not talk to this coordinator. Its host can allow one: serve --allow-origin.',
  ],
} as const;

/** The path of a request's target (RFC 9112, 3.2), which may also be written as a whole URL; undefined where it is none. */
function pathOf(target: string | undefined): string | undefined {
  if (target === undefined || target.length > 2_048 || !/^(\/(?!\/)|https?:\/\/)/.test(target)) return undefined;
  return URL.canParse(target, 'http://localhost') ? new URL(target, 'http://localhost').pathname : undefined;
}
