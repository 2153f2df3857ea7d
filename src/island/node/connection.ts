import { WebSocket } from 'ws';
import { HelioError } from '../../errors.ts';
import { Channel } from '../../protocol/channel.ts';
import { type Content, MAX_FRAME_BYTES } from '../../protocol/frame.ts';
import { coordinatorMessageSchema, type IslandMessage } from '../../protocol/messages.ts';
import type { Incoming } from '../runtime.ts';

/** Largest fragment that an island takes from a coordinator. */
const MAX_PAYLOAD_BYTES = 2 ** 31 - 1;
const CONNECT_MS = 10_000;
const HEARTBEAT_MS = 2_000;

/** One WebSocket to the coordinator; it sends a heartbeat by itself. */
export class WebSocketConnection {
  readonly #socket: WebSocket;
  readonly #channel: Channel<typeof coordinatorMessageSchema, IslandMessage>;
  readonly #heartbeat: NodeJS.Timeout;
  #transferSinceMs: number | undefined;

  /** @param put takes what comes, in order; last of all `lost`, with the error where there was one */
  private constructor(socket: WebSocket, put: (item: Incoming, fault?: unknown) => void) {
    this.#socket = socket;
    this.#channel = new Channel<typeof coordinatorMessageSchema, IslandMessage>(
      socket,
      coordinatorMessageSchema,
      MAX_PAYLOAD_BYTES,
    );
    this.#heartbeat = setInterval(() => this.send({ kind: 'alive' }), HEARTBEAT_MS);
    let fault: unknown;
    socket.on('message', (data: Buffer, isBinary) => {
      try {
        if (isBinary) this.#transferred(data, put);
        else put({ kind: 'told', message: this.#channel.message(data.toString()) });
      } catch (error) {
        fault = error;
        socket.close(1008);
      }
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      clearInterval(this.#heartbeat);
      put({ kind: 'lost' }, fault);
    });
  }

  /** @throws HelioError HELIO-4002 when nobody answers, HELIO-4003 when the invitation is not accepted */
  static open(url: string, put: (item: Incoming, fault?: unknown) => void): Promise<WebSocketConnection> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, {
        perMessageDeflate: false,
        maxPayload: MAX_FRAME_BYTES,
        handshakeTimeout: CONNECT_MS,
      });
      socket.once('open', () => resolve(new WebSocketConnection(socket, put)));
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

  #transferred(frame: Buffer, put: (item: Incoming) => void): void {
    this.#transferSinceMs ??= performance.now();
    const transfer = this.#channel.frame(frame);
    if (transfer === undefined) return;
    put({ kind: 'received', ...transfer, sinceMs: this.#transferSinceMs });
    this.#transferSinceMs = undefined;
  }
}
