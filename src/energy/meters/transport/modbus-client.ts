import { connect, type Socket } from 'node:net';
import { HelioError } from '../../../errors.ts';
import { late, unreachable, unusable } from '../fault.ts';

/** Most registers of one request (Modbus application protocol 1.1b3, §6.3). */
export const MOST_REGISTERS = 125;
const HEADER_BYTES = 7;
const MOST_FRAME_BYTES = 260;
const FUNCTIONS = { holding: 3, input: 4 } as const;

/** What a device's refusal means (§7). */
const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: 'it does not know this kind of request',
  2: 'it has no such register',
  3: 'it does not take so many registers at once',
  4: 'it failed',
  6: 'it is busy',
  10: 'the gateway has no path to this unit id',
  11: 'no device answers at this unit id',
};
/** Those that say that the device is not there, or cannot just now. */
const AWAY = new Set([4, 6, 10, 11]);

export type RegisterKind = keyof typeof FUNCTIONS;

/**
 * Reads registers by Modbus TCP (Messaging Implementation Guide 1.0b). One connection, which is opened when it is needed, and one request at a
 * time, as many inverters take no more. Whatever goes wrong with a frame ends the connection: the next request begins anew.
 */
export class ModbusClient {
  readonly #device: string;
  readonly #host: string;
  readonly #port: number;
  readonly #timeoutMs: number;
  #socket: Socket | undefined;
  #transaction = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(device: string, host: string, port: number, timeoutMs: number) {
    this.#device = device;
    this.#host = host;
    this.#port = port;
    this.#timeoutMs = timeoutMs;
  }

  get #address(): string {
    return `${this.#host}:${this.#port}`;
  }

  /**
   * @param count 1 to {@link MOST_REGISTERS}
   * @throws HelioError HELIO-6101, 6105; HELIO-6102 for registers that the device does not have
   */
  read(unit: number, kind: RegisterKind, address: number, count: number): Promise<readonly number[]> {
    const answer = this.#last.then(() => this.#ask(unit, kind, address, count));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #ask(unit: number, kind: RegisterKind, address: number, count: number): Promise<readonly number[]> {
    const what = `${kind} register ${address} of unit ${unit}`;
    const socket = this.#socket ?? (await this.#connect());
    this.#transaction = (this.#transaction + 1) & 0xffff;
    const frame = Buffer.alloc(12);
    frame.writeUInt16BE(this.#transaction, 0);
    frame.writeUInt16BE(6, 4);
    frame.writeUInt8(unit, 6);
    frame.writeUInt8(FUNCTIONS[kind], 7);
    frame.writeUInt16BE(address, 8);
    frame.writeUInt16BE(count, 10);
    const expected = { transaction: this.#transaction, unit, code: FUNCTIONS[kind], count };
    try {
      return await this.#answer(socket, frame, expected, what);
    } catch (error) {
      // An exception is an answer in good order; after anything else nobody knows where the next frame begins.
      if (!(error instanceof ModbusException)) {
        this.close();
        throw error;
      }
      throw AWAY.has(error.exception)
        ? new HelioError(
            'HELIO-6101',
            `${this.#device} at ${this.#address} refused ${what}: ${error.message}.`,
            'Check its unit id, and that Modbus TCP is switched on.',
          )
        : unusable(
            this.#device,
            `at ${this.#address} it refused ${what}: ${error.message}`,
            'Check model and firmware against the template.',
          );
    }
  }

  #connect(): Promise<Socket> {
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    const timer = setTimeout(() => {
      reject(late(this.#device, this.#address, 'accept a connection', this.#timeoutMs));
      socket.destroy();
    }, this.#timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      this.#socket = socket;
      resolve(socket);
    });
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(unreachable(this.#device, this.#address, error));
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return promise;
  }

  #answer(socket: Socket, frame: Buffer, expected: Expected, what: string): Promise<readonly number[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>();
    let received = Buffer.alloc(0);
    const timer = setTimeout(
      () =>
        reject(
          late(this.#device, this.#address, `answer ${what} (a wrong unit id is met with silence)`, this.#timeoutMs),
        ),
      this.#timeoutMs,
    );
    const onData = (piece: Buffer): void => {
      received = Buffer.concat([received, piece]);
      try {
        const words = parse(received, expected);
        if (words !== undefined) resolve(words);
      } catch (error) {
        reject(
          error instanceof ModbusException
            ? error
            : unusable(this.#device, `at ${this.#address} it answered ${what} with ${(error as Error).message}`),
        );
      }
    };
    const onClose = (): void =>
      reject(unreachable(this.#device, this.#address, new Error(`it closed the connection while asked for ${what}`)));
    socket.on('data', onData);
    socket.once('close', onClose);
    socket.write(frame);
    return promise.finally(() => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('close', onClose);
    });
  }
}

interface Expected {
  readonly transaction: number;
  readonly unit: number;
  readonly code: number;
  readonly count: number;
}

class ModbusException extends Error {
  readonly exception: number;
  constructor(exception: number) {
    super(`${EXCEPTIONS[exception] ?? 'no reason given'} (exception ${exception})`);
    this.exception = exception;
  }
}

/** @returns undefined while the frame is not whole */
function parse(received: Buffer, { transaction, unit, code, count }: Expected): readonly number[] | undefined {
  if (received.length < HEADER_BYTES + 2) return undefined;
  const length = received.readUInt16BE(4);
  if (received.readUInt16BE(2) !== 0 || length < 3 || length > MOST_FRAME_BYTES - 6)
    throw new Error('what is no Modbus frame');
  if (received.length < 6 + length) return undefined;
  if (received.length > 6 + length) throw new Error(`${received.length - 6 - length} bytes too many`);
  if (received.readUInt16BE(0) !== transaction) throw new Error('the answer to another request');
  if (received.readUInt8(6) !== unit) throw new Error(`the answer of unit ${received.readUInt8(6)}`);
  const answered = received.readUInt8(7);
  if (answered === (code | 0x80)) throw new ModbusException(received.readUInt8(8));
  if (answered !== code) throw new Error(`function ${answered} instead of ${code}`);
  if (received.readUInt8(8) !== 2 * count || length !== 3 + 2 * count)
    throw new Error(`${received.readUInt8(8)} bytes instead of ${2 * count}`);
  return Array.from({ length: count }, (_, i) => received.readUInt16BE(9 + 2 * i));
}
