import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { HelioError } from '../../errors.ts';
import type { Database, Row, Transaction, Value } from './database.ts';
import { claim, type Held, release, renew, takeRun } from './fencing.ts';
import { PostgresSession } from './postgres-session.ts';
import { DEFAULT_RETRY, type RetryPolicy, within, withRetries } from './retry.ts';

/** Longest for a new connection, from the first packet to its settings. */
const CONNECT_MS = 10_000;
/** How long it is tried for at first: an address may be wrong. */
const OPEN_MS = 20_000;
/** A coordinator that was just killed still has its session for a moment. */
const HELD_MS = 2_000;
/** While there is nothing to write, the holder shows this often that it is alive. */
const RENEW_MS = 10_000;
const PING_MS = 4_000;

/**
 * A database that many runs share, each held by one process ({@link takeRun}).
 *
 * @param url postgres://user:password@host:port/database
 * @param run whose memory it is
 * @throws HelioError HELIO-3006 when it cannot be reached, HELIO-3005 when another process has the run
 */
export async function openPostgres(url: string, run: string, retry: Partial<RetryPolicy> = {}): Promise<Database> {
  const database = new PostgresDatabase(url, run, { ...DEFAULT_RETRY, ...retry });
  await database.take();
  return database;
}

class PostgresDatabase implements Database {
  readonly place: string;
  readonly #url: string;
  readonly #held: Held;
  readonly #retry: RetryPolicy;
  #session: PostgresSession | undefined;
  #epoch = 0;
  /** The number of the last transaction that is known to be committed. */
  #committed = 0;
  /** Why there is no next transaction. */
  #ended: HelioError | undefined;
  /** What was begun last: one thing is done at a time, over one connection. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #ping: Promise<void> | undefined;
  #renewal: NodeJS.Timeout | undefined;

  constructor(url: string, run: string, retry: RetryPolicy) {
    const { host, pathname } = new URL(url);
    this.place = `postgres://${host}${pathname}`;
    this.#url = url;
    this.#retry = retry;
    const holder = `process ${process.pid} on ${hostname()}#${randomBytes(8).toString('hex')}`;
    this.#held = { run, holder, place: this.place, nowS: 'EXTRACT(EPOCH FROM clock_timestamp())::DOUBLE PRECISION' };
  }

  async take(): Promise<void> {
    const retry = { ...this.#retry, forMs: Math.min(this.#retry.forMs, OPEN_MS) };
    const startMs = performance.now();
    const attempt = async (leftMs: number): Promise<void> => {
      const session = await this.#connected(leftMs);
      const alone = await this.#lockSession(session);
      await this.#inTransaction(session, async (transaction) => {
        this.#epoch = await takeRun(transaction, this.#held, alone);
      });
    };
    // One that was killed a moment ago counts as held until the database has seen its connection end.
    const away = (error: unknown): string | undefined => {
      const justHeld = isHeld(error) && performance.now() - startMs < HELD_MS;
      return justHeld ? 'the run is held' : retryReason(error);
    };
    try {
      await withRetries(this.#name, retry, ({ leftMs }) => attempt(leftMs), away);
    } catch (error) {
      await this.#session?.close();
      throw explain(error, this.place);
    }
    this.#renewLater(RENEW_MS);
  }

  transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#queued(() => this.#carryOut(work));
  }

  ping(): Promise<void> {
    const ask = async (): Promise<void> => {
      if (this.#ended !== undefined) throw this.#ended;
      await (await this.#connected(PING_MS)).query('SELECT 1', [], PING_MS);
    };
    // However many ask, the database is asked once.
    this.#ping ??= within(this.#queued(ask), PING_MS)
      .catch((error: unknown) => {
        throw explain(error, this.place);
      })
      .finally(() => {
        this.#ping = undefined;
      });
    return this.#ping;
  }

  async close(): Promise<void> {
    clearTimeout(this.#renewal);
    await this.#queued(async () => {
      this.#ended ??= new HelioError('HELIO-3006', `The database ${this.place} was closed.`, 'Open it again.');
      const session = this.#session;
      if (session === undefined || session.lost) return;
      // Whoever comes next would wait for a moment without it.
      await release({ query: this.#asker(session, 2_000) }, this.#held, this.#epoch).catch(() => {});
      await session.close();
    });
  }

  get #name(): string {
    return `The database ${this.place}`;
  }

  #queued<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const mine = this.#last.then(work).finally(() => this.#waiting--);
    this.#last = mine.catch(() => {});
    return mine;
  }

  async #carryOut<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    if (this.#ended !== undefined) throw this.#ended;
    const number = this.#committed + 1;
    /** What `work` gave before a COMMIT that no answer came to. */
    let inDoubt: { readonly value: T } | undefined;
    const attempt = async (leftMs: number): Promise<T> => {
      const session = await this.#connected(leftMs);
      return this.#inTransaction(session, async (transaction) => {
        const next = await claim(transaction, this.#held, this.#epoch, number);
        if (!next && inDoubt !== undefined) return inDoubt.value;
        if (!next) throw new Error(`transaction ${number} of epoch ${this.#epoch} is there, and nobody sent it`);
        // The row is ours: no earlier attempt can be committed any more.
        inDoubt = undefined;
        const value = await work(transaction);
        inDoubt = { value };
        return value;
      });
    };
    try {
      const value = await withRetries(this.#name, this.#retry, ({ leftMs }) => attempt(leftMs), retryReason);
      this.#committed = number;
      return value;
    } catch (error) {
      const reason = explain(error, this.place);
      // What follows could rest on what is not there, or miss what is: resuming reads which.
      if (isHeld(error) || inDoubt !== undefined) this.#ended = reason;
      throw reason;
    }
  }

  async #inTransaction<T>(session: PostgresSession, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const query = this.#asker(session);
    await query('BEGIN');
    try {
      const result = await work({ query });
      const { command } = await session.query('COMMIT', [], this.#retry.answerMs);
      if (command !== 'COMMIT') throw new Error(`COMMIT was answered with ${command}`);
      return result;
    } catch (error) {
      if (!session.lost) await query('ROLLBACK').catch((failed: unknown) => session.destroy(failed));
      throw error;
    }
  }

  #asker(session: PostgresSession, answerMs = this.#retry.answerMs) {
    return async (sql: string, values: readonly Value[] = []): Promise<readonly Row[]> =>
      (await session.query(sql, values, answerMs)).rows;
  }

  async #connected(leftMs: number): Promise<PostgresSession> {
    if (this.#session !== undefined && !this.#session.lost) return this.#session;
    // A session's name has 63 bytes at most; the random number is what matters of it.
    const name = `heliotrope ${this.#held.holder.replace(/^.*#/, '')}`;
    const session = await PostgresSession.open(this.#url, name, Math.min(CONNECT_MS, leftMs), () =>
      this.#renewLater(500),
    );
    this.#session = session;
    // A connection of ours that the database has not seen end would hold the run's row until it has.
    await session
      .query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()',
        [name],
        CONNECT_MS,
      )
      .catch(() => {});
    if (this.#epoch > 0) await this.#lockSession(session);
    return session;
  }

  /**
   * A courtesy to whoever would take the run: a lock of the session, which ends with it, also when this process is killed. Nothing rests
   * on it, as it is lost with any connection.
   */
  async #lockSession(session: PostgresSession): Promise<boolean> {
    const lock = 'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS held';
    const [row] = await this.#asker(session)(lock, [`heliotrope ${this.#held.run}`]);
    return row?.held === true;
  }

  /** Shows that the holder is alive, over a new connection where the last one was lost. */
  #renewLater(ms: number): void {
    clearTimeout(this.#renewal);
    if (this.#ended !== undefined || this.#epoch === 0) return;
    this.#renewal = setTimeout(() => {
      this.#renewLater(RENEW_MS);
      // A transaction renews by itself, and is not kept waiting.
      if (this.#waiting > 0) return;
      this.#queued(async () => {
        const session = await this.#connected(CONNECT_MS);
        await renew({ query: this.#asker(session, CONNECT_MS) }, this.#held, this.#epoch);
      }).catch((error: unknown) => {
        // A database that is away is the next transaction's to wait for.
        if (isHeld(error)) this.#ended = explain(error, this.place);
      });
    }, ms).unref();
  }
}

const isHeld = (error: unknown): boolean => error instanceof HelioError && error.code === 'HELIO-3005';

/** Codes of the line, and of SQLSTATE what is of the database's state: connections, resources, its operator, locks, a standby. */
const PASSING = /^(E[A-Z]+|08...|53[03]00|57...|40001|40P01|55P03|25006|25P0[234])$/;
const FINAL = new Set(['ENOTFOUND', 'EACCES', 'ENOENT']);

/** Every transaction has its number, so that any may be tried again; this says for which that is of any use. */
function retryReason(error: unknown): string | undefined {
  if (error instanceof HelioError) return undefined;
  const { code, constraint, errors } = (error ?? {}) as {
    readonly code?: unknown;
    readonly constraint?: string;
    readonly errors?: readonly unknown[];
  };
  // Two that make the same tables at once: PostgreSQL's IF NOT EXISTS knows nothing of a table, or of its type, that another is making.
  const sameTables = (code === '23505' && /^pg_/.test(constraint ?? '')) || code === '42P07' || code === '42710';
  if (!sameTables && (FINAL.has(String(code)) || !PASSING.test(String(code)))) return undefined;
  const [first] = errors ?? [];
  return whatOf(first ?? error);
}

const whatOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  // Where several addresses were tried, the error of all of them has no words.
  const [first] = error instanceof AggregateError ? error.errors : [];
  return error.message || String((first as Error | undefined)?.message ?? error.name);
};

function explain(error: unknown, place: string): HelioError {
  if (error instanceof HelioError) return error;
  return new HelioError(
    'HELIO-3006',
    `The database ${place} cannot be used: ${whatOf(error)}.`,
    'Check its address, name and password, and that it runs; what was committed is kept.',
    { cause: error },
  );
}
