import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { WebSocket } from 'ws';
import { HelioError } from '../../errors.ts';
import { Channel, overWebSocket } from '../../protocol/channel.ts';
import { type Beginning, MAX_FRAME_BYTES, type Packed } from '../../protocol/frame.ts';
import { InOrder } from '../../protocol/in-order.ts';
import { coordinatorMessageSchema, type IslandMessage, MAX_WELCOME_BYTES } from '../../protocol/messages.ts';
import type { Incoming } from '../host.ts';

/** Largest fragment that an island takes from a coordinator. */
const MAX_PAYLOAD_BYTES = 2 ** 31 - 1;
const CONNECT_MS = 10_000;
const HEARTBEAT_MS = 2_000;

/** One way to the coordinator. */
export interface Route {
  readonly url: string;
  /** SHA-256 of its certificate, where no authority vouches for it. */
  readonly fingerprint: string | undefined;
  /** The uplink: an address of this machine to go out from. */
  readonly localAddress: string | undefined;
}

/** One WebSocket to the coordinator; it sends a heartbeat by itself. */
export class WebSocketConnection {
  readonly #socket: WebSocket;
  readonly #channel: Channel<typeof coordinatorMessageSchema, IslandMessage>;
  readonly #heartbeat: NodeJS.Timeout;
  #transferSinceMs: number | undefined;

  /** @param put takes what comes, in order; last of all `lost`, with the error where there was one */
  private constructor(socket: WebSocket, before: readonly Beginning[], put: (item: Incoming, fault?: unknown) => void) {
    this.#socket = socket;
    this.#channel = new Channel<typeof coordinatorMessageSchema, IslandMessage>(
      overWebSocket(socket),
      coordinatorMessageSchema,
      MAX_PAYLOAD_BYTES,
    );
    this.#channel.goOnWith(before);
    this.#heartbeat = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) this.#channel.sendAtOnce({ kind: 'alive' });
    }, HEARTBEAT_MS);
    let fault: unknown;
    const failed = (error: unknown): void => {
      fault ??= error;
      socket.close(1008);
    };
    const inOrder = new InOrder<Incoming>((item) => put(item, item.kind === 'lost' ? fault : undefined), failed);
    socket.on('message', (data: Buffer, isBinary) => {
      if (fault !== undefined) return;
      try {
        const item = isBinary ? this.#transferred(data) : this.#told(data.toString());
        if (item !== undefined) inOrder.put(item);
      } catch (error) {
        failed(error);
      }
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      clearInterval(this.#heartbeat);
      inOrder.put({ kind: 'lost' });
    });
  }

  /** @throws HelioError HELIO-4002 when nobody answers, HELIO-4003 when it is not the coordinator that was meant, or it will not have us */
  static open(
    route: Route,
    before: readonly Beginning[],
    /** Called before anything else comes. */
    opened: (connection: WebSocketConnection) => void,
    put: (item: Incoming, fault?: unknown) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const { url, fingerprint } = route;
      const host = new URL(url).host;
      const socket = new WebSocket(url, {
        perMessageDeflate: false,
        maxPayload: MAX_FRAME_BYTES,
        handshakeTimeout: CONNECT_MS,
        // Masks guard caches against scripts in a browser (RFC 6455, section 10.3). Of our own tensors a mask of zeros saves two passes over them.
        generateMask: (mask) => void mask.fill(0),
        ...(route.localAddress === undefined ? {} : { localAddress: route.localAddress }),
        ...proxyFor(url),
        // The invitation vouches for this very certificate, and no authority has to.
        ...(fingerprint === undefined ? {} : { rejectUnauthorized: false }),
      });
      socket.once('upgrade', ({ socket: raw }) => {
        if (fingerprint === undefined || certificateOf(raw) === fingerprint) return;
        socket.terminate();
        reject(
          new HelioError(
            'HELIO-4003',
            `The certificate of ${host} is not the one that the invitation names.`,
            'Somebody may be listening in between. Ask the host for a new invitation.',
          ),
        );
      });
      socket.once('open', () => {
        opened(new WebSocketConnection(socket, before, put));
        resolve();
      });
      socket.once('unexpected-response', (_, { statusCode }) => {
        socket.terminate();
        reject(
          statusCode === 429
            ? unreachable(host, 'it takes no more connections now')
            : new HelioError(
                'HELIO-4003',
                `There is no run at ${host} (HTTP ${statusCode}).`,
                'Check the address, or ask the host for a new invitation.',
              ),
        );
      });
      socket.once('error', (error) => reject(unreachable(host, error.message, error)));
    });
  }

  send(message: IslandMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#channel.send(message);
  }

  async transfer(packed: Packed, from: number): Promise<void> {
    if (this.#socket.readyState === WebSocket.OPEN) await this.#channel.transfer(packed, from);
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

  close(): void {
    clearInterval(this.#heartbeat);
    this.#socket.close(1000);
    setTimeout(() => this.#socket.terminate(), 1_000).unref();
  }

  #told(text: string): Incoming | undefined {
    const message = this.#channel.message(text, MAX_WELCOME_BYTES);
    return message === undefined ? undefined : { kind: 'told', message };
  }

  #transferred(frame: Buffer): Promise<Incoming> | undefined {
    this.#transferSinceMs ??= performance.now();
    const transfer = this.#channel.frame(frame);
    if (transfer === undefined) return undefined;
    const sinceMs = this.#transferSinceMs;
    this.#transferSinceMs = undefined;
    return transfer.then(({ content, payload }) => ({ kind: 'received', content, payload, sinceMs }));
  }
}

/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY count as they do everywhere. */
function proxyFor(url: string): { readonly agent?: HttpsProxyAgent<string> } {
  const proxy = getProxyForUrl(url.replace(/^ws/, 'http'));
  return proxy === '' ? {} : { agent: new HttpsProxyAgent(proxy) };
}

const certificateOf = (socket: Socket): string | undefined =>
  socket instanceof TLSSocket
    ? socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase()
    : undefined;

const unreachable = (host: string, why: string, cause?: unknown): HelioError =>
  new HelioError(
    'HELIO-4002',
    `No coordinator answers at ${host} (${why}).`,
    'Check that `heliotrope serve` runs there and that the address is right.',
    { cause },
  );
