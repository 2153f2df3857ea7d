import pg from 'pg';
import type { Row, Value } from './database.ts';
import { SilenceError, within } from './retry.ts';

/**
 * One connection to PostgreSQL that can break at any moment, and then fails what is asked of it and nothing else.
 *
 * By node-postgres: postgres.js (3.4.9) ends the process when a connection is closed inside a transaction, as it writes to a socket that
 * is null in a timer of its own, where nobody can catch that. Here a connection is used by one caller for one thing at a time, every
 * question has a deadline, and after a failure of the line the connection is destroyed.
 */
export class PostgresSession {
  readonly #client: pg.Client;
  readonly #onLost: () => void;
  #lost: Error | undefined;

  private constructor(client: pg.Client, onLost: () => void) {
    this.#client = client;
    this.#onLost = onLost;
    // Without these two the driver's own events would end the process.
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the connection was closed')));
  }

  /**
   * @param name by which the database lists this session: of this process alone
   * @param onLost called once when the connection has broken
   */
  static async open(url: string, name: string, connectMs: number, onLost: () => void): Promise<PostgresSession> {
    const client = new pg.Client({ connectionString: url, keepAlive: true, keepAliveInitialDelayMillis: 10_000 });
    const session = new PostgresSession(client, onLost);
    try {
      await within(client.connect(), connectMs);
      const settings = [['application_name', name], ...SERVER_SIDE] as const;
      const calls = settings.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, false)`);
      await session.query(`SELECT ${calls.join(', ')}`, settings.flat(), connectMs);
      return session;
    } catch (error) {
      session.destroy(error);
      throw error instanceof pg.DatabaseError ? error : session.#lost;
    }
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** @returns rows, and the command that was carried out: ROLLBACK when a COMMIT was none */
  async query(
    sql: string,
    values: readonly Value[],
    answerMs: number,
  ): Promise<{ readonly rows: readonly Row[]; readonly command: string }> {
    if (this.#lost !== undefined) throw this.#lost;
    try {
      // With no values it is the simple protocol, and with some the extended one.
      const asked = this.#client.query(values.length === 0 ? { text: sql } : { text: sql, values: [...values] });
      return await this.#heardWithin(asked, answerMs);
    } catch (error) {
      if (error instanceof pg.DatabaseError) throw error;
      this.destroy(error);
      // The first reason, and with a code.
      throw this.#lost;
    }
  }

  /** Destroys the connection: the running transaction is rolled back, or its outcome is not known. */
  destroy(reason: unknown): void {
    this.#lose(reason instanceof Error ? reason : new Error(String(reason)));
    socketOf(this.#client).destroy();
  }

  async close(): Promise<void> {
    this.#lost ??= withCode(new Error('the connection was closed'));
    await within(this.#client.end(), 2_000).catch(() => {});
    socketOf(this.#client).destroy();
  }

  #lose(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = withCode(error);
    this.#onLost();
  }

  /** A long answer is none that does not come: the deadline counts from the last bytes. */
  async #heardWithin<T>(answer: Promise<T>, ms: number): Promise<T> {
    let bytes = socketOf(this.#client).bytesRead;
    for (;;) {
      try {
        return await within(answer, ms);
      } catch (error) {
        const now = socketOf(this.#client).bytesRead;
        if (!(error instanceof SilenceError) || now === bytes) throw error;
        bytes = now;
      }
    }
  }
}

/** What the database does by itself for a client that it does not hear any more: no lock of it outlives it for long. */
const SERVER_SIDE = [
  ['statement_timeout', '60s'],
  ['lock_timeout', '10s'],
  ['idle_in_transaction_session_timeout', '15s'],
  ['tcp_keepalives_idle', '10'],
  ['tcp_keepalives_interval', '5'],
  ['tcp_keepalives_count', '3'],
] as const;

/** The driver tells of a line that broke in words alone; what it says of keys and certificates is no such thing. */
function withCode(error: Error): Error {
  const { code } = error as NodeJS.ErrnoException;
  const final = /SASL|SSL|password|certificate/i.test(error.message);
  return code !== undefined || final ? error : Object.assign(error, { code: 'ECONNRESET' });
}

/** Its type is not declared, and its kind changes with TLS. */
const socketOf = (client: pg.Client): { destroy(): void; readonly bytesRead: number } =>
  (client as unknown as { readonly connection: { readonly stream: { destroy(): void; readonly bytesRead: number } } })
    .connection.stream;
