import { WebSocket } from 'ws';
import { HelioError } from '../../errors.ts';
import { Channel } from '../../protocol/channel.ts';
import { type Content, MAX_FRAME_BYTES } from '../../protocol/frame.ts';
import { coordinatorMessageSchema, type IslandMessage } from '../../protocol/messages.ts';
import type { Connection, Incoming } from '../runtime.ts';

/** Largest fragment that an island takes from a coordinator. */
const MAX_PAYLOAD_BYTES = 2 ** 31 - 1;
const CONNECT_MS = 10_000;
/** Unread items at which the island stops reading from the socket. */
const MAX_INBOX = 256;

/** A WebSocket to the coordinator with an inbox; it sends a heartbeat by itself. */
export class WebSocketConnection implements Connection {
  readonly #socket: WebSocket;
  readonly #channel: Channel<typeof coordinatorMessageSchema, IslandMessage>;
  readonly #inbox: Incoming[] = [];
  readonly #heartbeat: NodeJS.Timeout;
  #wake: (() => void) | undefined;
  #closed = false;
  #fault: unknown;
  #transferSinceMs: number | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#channel = new Channel<typeof coordinatorMessageSchema, IslandMessage>(
      socket,
      coordinatorMessageSchema,
      MAX_PAYLOAD_BYTES,
    );
    this.#heartbeat = setInterval(() => this.send({ kind: 'alive' }), HEARTBEAT_MS);
    socket.on('message', (data: Buffer, isBinary) => {
      try {
        if (isBinary) this.#transferred(data);
        else this.#put(this.#channel.message(data.toString()));
      } catch (error) {
        this.#fault = error;
        socket.close(1008);
      }
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      this.#closed = true;
      clearInterval(this.#heartbeat);
      this.#wake?.();
    });
  }

  /** @throws HelioError HELIO-4002 when nobody answers, HELIO-4003 when the invitation is not accepted */
  static open(url: string): Promise<WebSocketConnection> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, {
        perMessageDeflate: false,
        maxPayload: MAX_FRAME_BYTES,
        handshakeTimeout: CONNECT_MS,
      });
      const connection = new WebSocketConnection(socket);
      socket.once('open', () => resolve(connection));
      socket.once('unexpected-response', (_, response) => {
        socket.terminate();
        reject(
          new HelioError(
            'HELIO-4003',
            `The coordinator at ${new URL(url).host} refused the invitation (HTTP ${response.statusCode}).`,
            'Ask for the current invitation URL of the run.',
          ),
        );
      });
      socket.once('error', (error) => {
        reject(
          new HelioError(
            'HELIO-4002',
            `No coordinator answers at ${new URL(url).host} (${error.message}).`,
            'Check that `heliotrope serve` runs there and that the address is right.',
            { cause: error },
          ),
        );
      });
    });
  }

  send(message: IslandMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#channel.send(message);
  }

  async transfer(content: Content, payload: Uint8Array): Promise<void> {
    if (this.#socket.readyState === WebSocket.OPEN) await this.#channel.transfer(content, payload);
  }

  wake(): void {
    this.#wake?.();
  }

  async next(timeoutMs: number): Promise<Incoming | 'timeout' | null> {
    if (this.#inbox.length === 0 && !this.#closed) await this.#arrival(timeoutMs);
    const item = this.#inbox.shift();
    if (item !== undefined) {
      if (this.#inbox.length < MAX_INBOX && this.#socket.isPaused) this.#socket.resume();
      return item;
    }
    if (this.#fault !== undefined) throw this.#fault;
    return this.#closed ? null : 'timeout';
  }

  close(): void {
    clearInterval(this.#heartbeat);
    this.#socket.close(1000);
    setTimeout(() => this.#socket.terminate(), 1_000).unref();
  }

  #arrival(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      // A wait of nothing still lets the socket deliver what has come.
      const timer = timeoutMs === 0 ? setImmediate(() => this.#wake?.()) : setTimeout(() => this.#wake?.(), timeoutMs);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer as NodeJS.Timeout);
        clearImmediate(timer as NodeJS.Immediate);
        resolve();
      };
    });
  }

  #transferred(frame: Buffer): void {
    this.#transferSinceMs ??= performance.now();
    const transfer = this.#channel.frame(frame);
    if (transfer === undefined) return;
    this.#put({ kind: 'transfer', ...transfer, sinceMs: this.#transferSinceMs });
    this.#transferSinceMs = undefined;
  }

  #put(item: Incoming): void {
    this.#inbox.push(item);
    if (this.#inbox.length >= MAX_INBOX) this.#socket.pause();
    this.#wake?.();
  }
}

const HEARTBEAT_MS = 2_000;
