import { connect, createServer, type Server, type Socket } from 'node:net';
import { seededRandom } from '../src/ml/tensor/random.ts';

/** A link as a home has it. */
export interface Link {
  readonly bitsPerS: number;
  /** From one end to the other and back. */
  readonly roundTripMs: number;
  /** Share of segments that are lost. */
  readonly loss: number;
}

/** Bytes that passed in one direction, by windows of {@link WINDOW_MS} since the first. */
export interface Flow {
  readonly windows: readonly number[];
}

export const WINDOW_MS = 250;
/** What travels in one packet of Ethernet. */
const SEGMENT_BYTES = 1_460;
/** A sender is held back when so much waits for the link, as a full send buffer would. */
const QUEUE_BYTES = 256 * 1024;

/**
 * A link in user space: a TCP proxy that lets bytes through at the link's rate and after its delay. A lost segment holds up all
 * that is behind it by one round trip, as TCP's own retransmission does; that a sender then also slows down is left out.
 */
export class ThrottledLink {
  readonly #link: Link;
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #random = seededRandom(5);
  readonly #sockets = new Set<Socket>();
  #startMs: number | undefined;
  readonly #up: number[] = [];
  readonly #down: number[] = [];

  private constructor(link: Link, target: { readonly host: string; readonly port: number }) {
    this.#link = link;
    this.#target = target;
    this.#server = createServer((socket) => this.#join(socket));
  }

  static async open(link: Link, target: { readonly host: string; readonly port: number }): Promise<ThrottledLink> {
    const throttled = new ThrottledLink(link, target);
    await new Promise<void>((resolve) => throttled.#server.listen(0, '127.0.0.1', resolve));
    return throttled;
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port;
  }

  get up(): Flow {
    return { windows: this.#up };
  }
  get down(): Flow {
    return { windows: this.#down };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #join(island: Socket): void {
    const coordinator = connect(this.#target.port, this.#target.host);
    for (const socket of [island, coordinator]) {
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      this.#sockets.add(socket);
    }
    this.#carry(island, coordinator, this.#up);
    this.#carry(coordinator, island, this.#down);
  }

  #carry(from: Socket, to: Socket, windows: number[]): void {
    const { bitsPerS, roundTripMs, loss } = this.#link;
    // When the link is free again for the next byte, and when the last byte so far comes out of it.
    let [freeMs, outMs, queued] = [0, 0, 0];
    const inside: { readonly segment: Buffer; readonly outMs: number }[] = [];
    let timer: NodeJS.Timeout | undefined;
    const deliver = (): void => {
      timer = undefined;
      while (inside.length > 0 && inside[0]!.outMs <= performance.now()) {
        const { segment } = inside.shift()!;
        queued -= segment.length;
        this.#count(windows, segment.length);
        to.write(segment);
      }
      if (from.isPaused() && queued < QUEUE_BYTES / 2) from.resume();
      if (inside.length > 0) timer = setTimeout(deliver, Math.max(1, inside[0]!.outMs - performance.now()));
    };
    from.on('data', (data: Buffer) => {
      for (let start = 0; start < data.length; start += SEGMENT_BYTES) {
        const segment = data.subarray(start, start + SEGMENT_BYTES);
        freeMs = Math.max(performance.now(), freeMs) + (segment.length * 8_000) / bitsPerS;
        const lostMs = this.#random.uniform() < loss ? roundTripMs : 0;
        outMs = Math.max(outMs, freeMs + roundTripMs / 2 + lostMs);
        queued += segment.length;
        inside.push({ segment, outMs });
      }
      if (queued > QUEUE_BYTES) from.pause();
      if (timer === undefined) timer = setTimeout(deliver, Math.max(1, inside[0]!.outMs - performance.now()));
    });
    from.on('close', () => setTimeout(() => to.destroy(), Math.max(0, outMs - performance.now()) + 50));
  }

  #count(windows: number[], bytes: number): void {
    this.#startMs ??= performance.now();
    const window = Math.floor((performance.now() - this.#startMs) / WINDOW_MS);
    while (windows.length <= window) windows.push(0);
    windows[window]! += bytes;
  }
}
