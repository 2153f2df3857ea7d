import type { z } from 'zod';
import { type BrokenOff, type Content, encodeFrames, FrameAssembler, type Transfer } from './frame.ts';
import { parseMessage } from './messages.ts';

/** The little that a channel needs of a WebSocket; both `ws` and a browser's have it. */
export interface Socket {
  /** @param sent called when the data have left this process */
  send(data: string | Uint8Array, sent?: () => void): void;
}

/** One end of a connection: writes messages and transfers, reads and validates the peer's, counts bytes. */
export class Channel<Incoming extends z.ZodType, Outgoing> {
  readonly #socket: Socket;
  readonly #incoming: Incoming;
  readonly #assembler: FrameAssembler;
  #transfers = 0;
  /** Bytes sent and received on the wire, without WebSocket's own 2–14 bytes a frame. */
  sentBytes = 0;
  receivedBytes = 0;

  /**
   * @param maxPayloadBytes largest transfer that the peer may send
   * @param before what came of one on an earlier connection
   */
  constructor(socket: Socket, incoming: Incoming, maxPayloadBytes: number, before?: BrokenOff) {
    this.#socket = socket;
    this.#incoming = incoming;
    this.#assembler = new FrameAssembler(maxPayloadBytes, before);
  }

  /** What came of a transfer that is not whole. */
  get partial(): BrokenOff | undefined {
    return this.#assembler.partial;
  }

  send(message: Outgoing): void {
    const json = JSON.stringify(message);
    this.sentBytes += json.length;
    this.#socket.send(json);
  }

  /**
   * Resolves when the last piece has left this process; a closed socket counts.
   *
   * @param from how much of it the peer has already
   */
  async transfer(content: Content, payload: Uint8Array, hash?: string, from = 0): Promise<void> {
    let last: Promise<void> | undefined;
    for (const frame of encodeFrames(this.#transfers++, content, payload, hash, from)) {
      this.sentBytes += frame.length;
      last = new Promise((resolve) => this.#socket.send(frame, resolve));
    }
    await last;
  }

  /** @throws HelioError HELIO-4004 */
  message(data: string): z.output<Incoming> {
    this.receivedBytes += data.length;
    return parseMessage(this.#incoming, data);
  }

  /** @throws HelioError HELIO-4004 */
  frame(data: Uint8Array): Transfer | undefined {
    this.receivedBytes += data.length;
    return this.#assembler.accept(data);
  }
}
