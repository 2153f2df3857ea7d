import { connect, type Socket } from 'node:net';
import { HelioError } from '../../../errors.ts';
import { late, refused, unreachable, unusable } from '../fault.ts';

const MOST_LINE = 2_000;

/**
 * A client of Network UPS Tools' protocol (networkupstools.org, Developer Guide, "Network protocol information"): lines of text, one question at a
 * time.
 */
export class NutClient {
  readonly #device: string;
  readonly #address: string;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  #received = '';
  #waiting: { resolve(line: string): void; reject(error: Error): void } | undefined;
  #lost: Error | undefined;

  private constructor(device: string, address: string, socket: Socket, timeoutMs: number) {
    this.#device = device;
    this.#address = address;
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.setEncoding('utf8');
    socket.on('data', (piece: string) => this.#take(piece));
    socket.on('error', (error) => this.#lose(error));
    socket.on('close', () => this.#lose(new Error('it closed the connection')));
  }

  /** @throws HelioError HELIO-6101 or HELIO-6105 */
  static open(device: string, host: string, port: number, timeoutMs: number): Promise<NutClient> {
    const address = `${host}:${port}`;
    const { promise, resolve, reject } = Promise.withResolvers<NutClient>();
    const socket = connect({ host, port, noDelay: true });
    const timer = setTimeout(() => {
      reject(late(device, address, 'accept a connection', timeoutMs));
      socket.destroy();
    }, timeoutMs);
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(unreachable(device, address, error));
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(new NutClient(device, address, socket, timeoutMs));
    });
    return promise;
  }

  get open(): boolean {
    return this.#lost === undefined;
  }

  /** @throws HelioError HELIO-6104 when they are not taken */
  async logIn(user: string, password: string): Promise<void> {
    for (const line of [`USERNAME ${quoted(user)}`, `PASSWORD ${quoted(password)}`]) {
      const answer = await this.#ask(line);
      if (answer.startsWith('ERR'))
        throw refused(this.#device, this.#address, answer, 'Check user and password in upsd.users of that machine.');
    }
  }

  /**
   * @returns undefined where this UPS has no such variable
   * @throws HelioError HELIO-6101 while its driver is away, HELIO-6102 for a name that no UPS there has
   */
  async get(ups: string, variable: string): Promise<string | undefined> {
    const answer = await this.#ask(`GET VAR ${ups} ${variable}`);
    const [, value] = /^VAR \S+ \S+ "((?:[^"\\]|\\.)*)"$/.exec(answer) ?? [];
    if (value !== undefined) return value.replace(/\\(.)/g, '$1');
    const code = /^ERR ([A-Z-]+)/.exec(answer)?.[1];
    switch (code) {
      case 'VAR-NOT-SUPPORTED':
        return undefined;
      case 'UNKNOWN-UPS':
        throw unusable(
          this.#device,
          `there is no UPS ${ups} at ${this.#address}`,
          'Its name stands in [brackets] in ups.conf; `upsc -l` lists them: --set ups=NAME.',
        );
      case 'DATA-STALE':
      case 'DRIVER-NOT-CONNECTED':
        throw new HelioError(
          'HELIO-6101',
          `${this.#device} at ${this.#address}: its server has lost ${ups} (${code}).`,
          'Check its cable, and its driver: systemctl status nut-driver.',
        );
      case 'ACCESS-DENIED':
        throw refused(
          this.#device,
          this.#address,
          answer,
          'Let this machine in: LISTEN in upsd.conf, users in upsd.users.',
        );
      default:
        throw unusable(this.#device, `it answered ${JSON.stringify(answer.slice(0, 100))}`, 'Is this a server of NUT?');
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(line: string): Promise<string> {
    if (this.#lost !== undefined) return Promise.reject(unreachable(this.#device, this.#address, this.#lost));
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting = { resolve, reject };
    const timer = setTimeout(() => {
      this.#lose(late(this.#device, this.#address, `answer ${line.split(' ').slice(0, 2).join(' ')}`, this.#timeoutMs));
      this.close();
    }, this.#timeoutMs);
    this.#socket.write(`${line}\n`);
    return promise.finally(() => clearTimeout(timer));
  }

  #take(piece: string): void {
    this.#received += piece;
    const end = this.#received.indexOf('\n');
    if (end < 0) {
      if (this.#received.length > MOST_LINE) {
        this.#lose(unusable(this.#device, `it sent ${this.#received.length} characters without an end of line`));
        this.close();
      }
      return;
    }
    const line = this.#received.slice(0, end).replace(/\r$/, '');
    this.#received = this.#received.slice(end + 1);
    this.#waiting?.resolve(line);
    this.#waiting = undefined;
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    this.#waiting?.reject(unreachable(this.#device, this.#address, error));
    this.#waiting = undefined;
  }
}

const quoted = (text: string): string => `"${text.replace(/[\r\n]/g, '').replace(/["\\]/g, '\\$&')}"`;
