import type { z } from 'zod';
import { type Beginning, type Content, encodeFrames, type Frame, FrameAssembler, type Transfer } from './frame.ts';
import { parseMessage } from './messages.ts';

/** The little that a channel needs of a WebSocket. */
export interface Socket {
  send(text: string): void;
  /** @param sent called when the frame has left this process */
  sendFrame(frame: Frame, sent: () => void): void;
}

/** A `ws` socket: a frame is one message of two fragments, so that nothing is copied to put it together. */
export const overWebSocket = (socket: FragmentingSocket): Socket => ({
  send: (text) => socket.send(text),
  sendFrame({ head, piece }, sent) {
    socket.send(head, { binary: true, fin: false });
    socket.send(piece, { binary: true, fin: true }, sent);
  },
});
interface FragmentingSocket {
  send(text: string): void;
  send(data: Uint8Array, options: { binary: true; fin: boolean }, sent?: () => void): void;
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

  /** @param maxPayloadBytes largest transfer that the peer may send */
  constructor(socket: Socket, incoming: Incoming, maxPayloadBytes: number) {
    this.#socket = socket;
    this.#incoming = incoming;
    this.#assembler = new FrameAssembler(maxPayloadBytes);
  }

  /** @param before what came of transfers on earlier connections: they may go on */
  goOnWith(before: readonly Beginning[]): void {
    this.#assembler.goOnWith(before);
  }

  /** What the next connection may go on with. */
  get beginnings(): readonly Beginning[] {
    return this.#assembler.beginnings;
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
      this.sentBytes += frame.head.length + frame.piece.length;
      last = new Promise((resolve) => this.#socket.sendFrame(frame, resolve));
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
