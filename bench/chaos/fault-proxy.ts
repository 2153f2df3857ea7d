import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A TCP proxy that harms what passes through it: real sockets before a real database or blob store. What it does to a connection counts
 * for those that are open and those that come, until it is told otherwise.
 */
export class FaultProxy {
  readonly #server: Server;
  readonly #lines = new Set<Line>();
  #fault: Fault = { kind: 'none' };
  #trap: Trap | undefined;
  #sprung = 0;
  connections = 0;

  private constructor(host: string, port: number) {
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      client.on('error', () => {});
      this.connections++;
      if (this.#fault.kind === 'away') {
        client.destroy();
        return;
      }
      const line = new Line(client, connect({ port, host, allowHalfOpen: true }), this);
      this.#lines.add(line);
      client.once('close', () => this.#lines.delete(line));
    });
    // A proxy that cannot take a connection has refused it.
    this.#server.on('error', () => {});
  }

  /** @param target where whole connections go: 127.0.0.1:PORT of what is harmed */
  static async before(port: number, host = '127.0.0.1'): Promise<FaultProxy> {
    const proxy = new FaultProxy(host, port);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port;
  }

  get fault(): Fault {
    return this.#fault;
  }

  /** How often a trap has done its harm. */
  get sprung(): number {
    return this.#sprung;
  }

  /** All is well from now on. */
  mend(): void {
    this.#fault = { kind: 'none' };
    this.#trap = undefined;
  }

  /** Every connection is reset, once. */
  cut(): void {
    for (const line of this.#lines) line.reset();
  }

  /** Every connection is ended in good order, as a server does that has had enough of idle ones. */
  halfClose(): void {
    for (const line of this.#lines) line.halfClose();
  }

  /** Nothing gets through, and whoever comes is sent away. */
  away(): void {
    this.#fault = { kind: 'away' };
    this.cut();
  }

  /** Connections are taken, and nothing is passed on or answered any more. */
  stall(): void {
    this.#fault = { kind: 'stall' };
  }

  /** Whatever passes takes so long, in both directions. */
  delay(ms: number): void {
    this.#fault = { kind: 'delay', ms };
  }

  /** The next request with these words arrives whole and is carried out; its answer is lost, and the connection with it. */
  loseAnswerTo(words: string): void {
    this.#trap = { kind: 'answer', words: Buffer.from(words) };
  }

  /** The next request with these words does not arrive; the connection is cut. */
  loseRequest(words: string): void {
    this.#trap = { kind: 'request', words: Buffer.from(words) };
  }

  /** The connection over which so many more bytes have passed is cut there, in the middle of whatever it is. */
  cutAfter(bytes: number, way: 'up' | 'down'): void {
    this.#trap = { kind: 'bytes', way, left: bytes };
  }

  judge(bytes: Buffer, way: 'up' | 'down', line: Line): Judgement {
    const trap = this.#trap;
    if (trap === undefined) return { pass: bytes.length, after: 'go on' };
    if (trap.kind === 'bytes') {
      if (trap.way !== way) return { pass: bytes.length, after: 'go on' };
      if (trap.left > bytes.length) {
        this.#trap = { ...trap, left: trap.left - bytes.length };
        return { pass: bytes.length, after: 'go on' };
      }
      this.#spring();
      return { pass: trap.left, after: 'reset' };
    }
    if (way === 'up' && !line.awaited && line.isHeard(trap.words, bytes)) {
      if (trap.kind === 'answer') line.awaited = true;
      else {
        this.#spring();
        return { pass: 0, after: 'reset' };
      }
    }
    if (way === 'down' && line.awaited) {
      // It was carried out: this is the answer.
      this.#spring();
      return { pass: 0, after: 'reset' };
    }
    return { pass: bytes.length, after: 'go on' };
  }

  async close(): Promise<void> {
    this.away();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #spring(): void {
    this.#trap = undefined;
    this.#sprung++;
  }
}

/** How much of some bytes passes, and what becomes of the connection then. */
interface Judgement {
  readonly pass: number;
  readonly after: 'go on' | 'reset';
}

type Fault = { readonly kind: 'none' | 'away' | 'stall' } | { readonly kind: 'delay'; readonly ms: number };

/** Harm that is done once. */
type Trap =
  | { readonly kind: 'answer' | 'request'; readonly words: Buffer }
  | { readonly kind: 'bytes'; readonly way: 'up' | 'down'; readonly left: number };

/** One connection: two sockets, each with an end of its own. */
class Line {
  /** Whether the next bytes down are an answer that is to be lost. */
  awaited = false;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #proxy: FaultProxy;
  /** The last bytes that went up: words may lie across two packets. */
  #tail = Buffer.alloc(0);

  constructor(client: Socket, server: Socket, proxy: FaultProxy) {
    this.#client = client;
    this.#server = server;
    this.#proxy = proxy;
    for (const socket of [client, server]) socket.on('error', () => {});
    void this.#pump(client, server, 'up');
    void this.#pump(server, client, 'down');
  }

  isHeard(words: Buffer, bytes: Buffer): boolean {
    const heard = Buffer.concat([this.#tail, bytes]);
    this.#tail = heard.subarray(Math.max(0, heard.length - words.length + 1));
    return heard.includes(words);
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.destroy();
  }

  halfClose(): void {
    this.#client.end();
    this.#server.end();
  }

  /** One packet after the other: what comes while it waits stays in the sockets, as it does in a network. */
  async #pump(from: Socket, to: Socket, way: 'up' | 'down'): Promise<void> {
    try {
      for await (const bytes of from as AsyncIterable<Buffer>) {
        const { pass, after } = this.#proxy.judge(bytes, way, this);
        await this.#passage(to);
        if (to.destroyed) return;
        const flowing = pass === 0 || to.write(bytes.subarray(0, pass));
        if (after === 'reset') {
          await new Promise((resolve) => to.write('', resolve));
          this.reset();
          return;
        }
        if (!flowing) await drained(to);
      }
      to.end();
    } catch {
      // This end was reset; the other one hears of it the same way.
      to.destroy();
    }
  }

  async #passage(to: Socket): Promise<void> {
    if (this.#proxy.fault.kind === 'delay') await sleep(this.#proxy.fault.ms);
    while (this.#proxy.fault.kind === 'stall' && !to.destroyed) await sleep(10);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
