import type { z } from 'zod';
import {
  type Beginning,
  encodeFrames,
  type Frame,
  FrameAssembler,
  type Packed,
  type Reception,
  type Transfer,
} from './frame.ts';
import { MAX_MESSAGE_BYTES, parseMessage } from './messages.ts';

/** What a channel needs of a WebSocket. */
export interface Socket {
  send(text: string): void;
  /** @param sent called when the frame has left this process, or the connection is gone */
  sendFrame(frame: Frame, sent: () => void): void;
  /** Reads no more for a while, where it can. */
  pause?(): void;
  resume?(): void;
}

/** A `ws` socket: a frame is one message of two fragments, so that nothing is copied to put it together. */
export const overWebSocket = (socket: FragmentingSocket): Socket => ({
  send: (text) => socket.send(text),
  sendFrame({ head, piece }, sent) {
    socket.send(head, { binary: true, fin: false });
    socket.send(piece, { binary: true, fin: true }, sent);
  },
  pause: () => socket.pause(),
  resume: () => socket.resume(),
});
interface FragmentingSocket {
  pause(): void;
  resume(): void;
  send(text: string): void;
  send(data: Uint8Array, options: { binary: true; fin: boolean }, sent?: () => void): void;
}

/** Pieces that a slow reader may have under way; the rest waits as it is, shared with all others who are sent the same. */
const PIECES_AHEAD = 4;

/** The send queue: messages and transfers, in order. */
type Waiting =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'frames';
      readonly frames: Iterator<Frame>;
      readonly bytes: number;
      readonly sent: () => void;
      readonly failed: (error: unknown) => void;
      underWay: number;
      ended: boolean;
    };

/** One end of a connection: writes messages and transfers in order, reads and validates the peer's, counts bytes. */
export class Channel<Incoming extends z.ZodType, Outgoing> {
  readonly #socket: Socket;
  readonly #incoming: Incoming;
  readonly #assembler: FrameAssembler;
  readonly #waiting: Waiting[] = [];
  #ahead = 0;
  #pumping = false;
  /** A payload could not be read half-way through: the receiver would not understand what follows. */
  #isBroken = false;
  #waitingBytes = 0;
  /** Bytes sent and received on the wire, without WebSocket's own 2–14 bytes a frame. */
  sentBytes = 0;
  receivedBytes = 0;

  /** @param reception what the peer may send; a number: the largest transfer */
  constructor(socket: Socket, incoming: Incoming, reception: number | Reception) {
    this.#socket = socket;
    this.#incoming = incoming;
    this.#assembler = new FrameAssembler(typeof reception === 'number' ? { most: reception } : reception);
  }

  /** @param before what came of transfers on earlier connections: they may go on */
  resumeFrom(before: readonly Beginning[]): void {
    this.#assembler.resumeFrom(before);
  }

  /** What the next connection may go on with. */
  get beginnings(): readonly Beginning[] {
    return this.#assembler.beginnings;
  }

  /** Bytes of payloads that wait for a reader who is slow. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  send(message: Outgoing): void {
    this.#put({ kind: 'text', text: JSON.stringify(message) });
  }

  /** A message that does not depend on earlier ones: it is sent at once. */
  sendAtOnce(message: Outgoing): void {
    this.#write(JSON.stringify(message));
  }

  /**
   * Resolves when the last piece has left this process; a closed socket counts. Rejects when a payload cannot be read (any more): from then on nothing is sent, and
   * the caller ends the connection.
   *
   * @param from how much of it the peer has already
   */
  transfer(packed: Packed, from = 0): Promise<void> {
    const bytes = packed.payload.length - from;
    const frames = from === 0 && packed.frames !== undefined ? packed.frames.values() : encodeFrames(packed, from);
    return new Promise((sent, failed) =>
      this.#put({ kind: 'frames', frames, bytes, sent, failed, underWay: 0, ended: false }),
    );
  }

  /**
   * Undefined for a kind that this version does not know.
   *
   * @throws HelioError HELIO-4004
   */
  message(data: string, mostBytes = MAX_MESSAGE_BYTES): z.output<Incoming> | undefined {
    this.receivedBytes += data.length;
    return parseMessage(this.#incoming, data, mostBytes);
  }

  /** @throws HelioError HELIO-4004; the promise too */
  frame(data: Uint8Array): Promise<Transfer> | undefined {
    this.receivedBytes += data.length;
    const transfer = this.#assembler.accept(data);
    const { lag } = this.#assembler;
    if (lag !== undefined) {
      this.#socket.pause?.();
      const goOn = (): void => this.#socket.resume?.();
      lag.then(goOn, goOn);
    }
    return transfer;
  }

  #put(item: Waiting): void {
    if (this.#isBroken) return item.kind === 'frames' ? item.sent() : undefined;
    this.#waiting.push(item);
    if (item.kind === 'frames') this.#waitingBytes += item.bytes;
    this.#pump();
  }

  /** Sends what may be sent; a piece that has left makes room for the next. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let next = this.#waiting[0]; next !== undefined && this.#ahead < PIECES_AHEAD; next = this.#waiting[0]) {
      if (next.kind === 'text') {
        this.#waiting.shift();
        this.#write(next.text);
        continue;
      }
      let piece: IteratorResult<Frame>;
      try {
        piece = next.frames.next();
      } catch (error) {
        this.#break(next, error);
        break;
      }
      if (piece.done !== true) {
        this.#writeFrame(piece.value, next);
        continue;
      }
      this.#waiting.shift();
      next.ended = true;
      if (next.underWay === 0) next.sent();
    }
    this.#pumping = false;
  }

  #break(at: Waiting & { readonly kind: 'frames' }, error: unknown): void {
    this.#isBroken = true;
    at.failed(error);
    for (const item of this.#waiting.splice(0)) if (item.kind === 'frames' && item !== at) item.sent();
  }

  #writeFrame(frame: Frame, of: Waiting & { readonly kind: 'frames' }): void {
    this.sentBytes += frame.head.length + frame.piece.length;
    this.#ahead++;
    of.underWay++;
    this.#socket.sendFrame(frame, () => {
      this.#ahead--;
      of.underWay--;
      this.#waitingBytes -= frame.piece.length;
      if (of.ended && of.underWay === 0) of.sent();
      this.#pump();
    });
  }

  #write(text: string): void {
    this.sentBytes += text.length;
    this.#socket.send(text);
  }
}
