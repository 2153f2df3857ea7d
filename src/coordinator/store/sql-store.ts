import { HelioError } from '../../errors.ts';
import type { Event, RunSettings, RunState } from '../state.ts';
import type { Database, Row, Transaction } from './database.ts';
import { insertReceipts, RECEIPTS_TABLE, type SignedReceipt, selectReceipts } from './receipts.ts';
import type { CommittedMerge, History, LoggedEvent, RunStore, Snapshot } from './run-store.ts';

/** Version of the tables; a store from a newer one is not touched. */
const SCHEMA_VERSION = 3;
/** Events that are remembered at most while the database is away. */
const MAX_PENDING = 1_000_000;

const TABLES = [
  'CREATE TABLE IF NOT EXISTS helio_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)',
  `CREATE TABLE IF NOT EXISTS helio_events (run TEXT NOT NULL, seq BIGINT NOT NULL, at_ms DOUBLE PRECISION NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY (run, seq))`,
  `CREATE TABLE IF NOT EXISTS helio_merges (run TEXT NOT NULL, seq BIGINT NOT NULL, fragment BIGINT NOT NULL, version BIGINT NOT NULL,
    blob TEXT NOT NULL, PRIMARY KEY (run, fragment, version))`,
  `CREATE TABLE IF NOT EXISTS helio_sessions (run TEXT NOT NULL, number BIGINT NOT NULL, seq BIGINT NOT NULL, settings TEXT NOT NULL,
    PRIMARY KEY (run, number))`,
  `CREATE TABLE IF NOT EXISTS helio_checkpoints (run TEXT NOT NULL, id TEXT NOT NULL, seq BIGINT NOT NULL, state TEXT NOT NULL,
    blobs TEXT NOT NULL, committed BIGINT NOT NULL, PRIMARY KEY (run, id))`,
  RECEIPTS_TABLE,
];

/** A run's memory in a database: SQLite and PostgreSQL alike. Many events share one transaction, and one wait for the disk. */
export class SqlRunStore implements RunStore {
  readonly #database: Database;
  readonly #run: string;
  #seq: number;
  #pending: LoggedEvent[] = [];
  /** The last transaction that was begun: they are carried out one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(database: Database, run: string, seq: number) {
    this.#database = database;
    this.#run = run;
    this.#seq = seq;
  }

  /** @param run its identity: a database may hold many @throws HelioError HELIO-3001 when a newer version has written it */
  static async open(database: Database, run: string): Promise<SqlRunStore> {
    const seq = await database.transact(async (transaction) => {
      for (const table of TABLES) await transaction.query(table);
      await checkVersion(transaction, database.place);
      const [row] = await transaction.query(
        `SELECT MAX(seq) AS seq FROM (SELECT seq FROM helio_events WHERE run = $1 UNION ALL
          SELECT seq FROM helio_checkpoints WHERE run = $1) AS all_seq`,
        [run],
      );
      return Number(row?.seq ?? 0);
    });
    return new SqlRunStore(database, run, seq);
  }

  append(atMs: number, event: Event): number {
    if (this.#pending.length >= MAX_PENDING) {
      throw new HelioError(
        'HELIO-3006',
        `${MAX_PENDING} events wait for the database ${this.#database.place}.`,
        'Check that it runs, and resume the run.',
      );
    }
    this.#pending.push({ seq: ++this.#seq, atMs, event });
    return this.#seq;
  }

  flush(): Promise<void> {
    return this.#pending.length === 0 ? this.#last.then(() => {}) : this.#transact(async () => {});
  }

  beginSession(settings: RunSettings): Promise<void> {
    return this.#transact(async (transaction) => {
      await transaction.query(
        `INSERT INTO helio_sessions (run, number, seq, settings) VALUES
          ($1, (SELECT COALESCE(MAX(number), 0) + 1 FROM helio_sessions WHERE run = $1), $2, $3)`,
        [this.#run, this.#seq, JSON.stringify(settings)],
      );
    });
  }

  commitMerge(merge: CommittedMerge): Promise<void> {
    return this.#transact((transaction) => insertMerge(transaction, this.#run, merge));
  }

  saveCheckpoint({ id, seq, state, blobs }: Snapshot & { readonly id: string }): Promise<void> {
    return this.#transact(async (transaction) => {
      await transaction.query('DELETE FROM helio_checkpoints WHERE run = $1 AND id = $2', [this.#run, id]);
      await transaction.query(
        'INSERT INTO helio_checkpoints (run, id, seq, state, blobs, committed) VALUES ($1, $2, $3, $4, $5, 0)',
        [this.#run, id, seq, JSON.stringify(state), JSON.stringify(blobs)],
      );
    });
  }

  commitCheckpoint(id: string, keep: number): Promise<readonly string[]> {
    const run = this.#run;
    return this.#transact(async (transaction) => {
      const before = await referred(transaction, run);
      await transaction.query('UPDATE helio_checkpoints SET committed = 1 WHERE run = $1 AND id = $2', [run, id]);
      await transaction.query(
        `DELETE FROM helio_checkpoints WHERE run = $1 AND id < $2 AND id NOT IN
          (SELECT id FROM helio_checkpoints WHERE run = $1 AND committed = 1 ORDER BY id DESC LIMIT $3)`,
        [run, id, keep],
      );
      const [oldest] = await transaction.query('SELECT MIN(seq) AS seq FROM helio_checkpoints WHERE run = $1', [run]);
      const seq = Number(oldest?.seq ?? 0);
      await transaction.query('DELETE FROM helio_events WHERE run = $1 AND seq <= $2', [run, seq]);
      await transaction.query('DELETE FROM helio_merges WHERE run = $1 AND seq <= $2', [run, seq]);
      await transaction.query(
        `DELETE FROM helio_sessions WHERE run = $1 AND number <
          (SELECT MAX(number) FROM helio_sessions WHERE run = $1 AND seq <= $2)`,
        [run, seq],
      );
      const after = new Set(await referred(transaction, run));
      return before.filter((blob) => !after.has(blob));
    });
  }

  history(): Promise<History> {
    const run = this.#run;
    return this.#transact(async (transaction) => {
      const [row] = await transaction.query(
        `SELECT id, seq, state, blobs FROM helio_checkpoints WHERE run = $1 AND committed = 1 ORDER BY id DESC LIMIT 1`,
        [run],
      );
      const checkpoint =
        row === undefined
          ? undefined
          : {
              id: String(row.id),
              seq: Number(row.seq),
              state: parse<RunState>(row, 'state'),
              blobs: parse<Record<string, string>>(row, 'blobs'),
            };
      const since = checkpoint?.seq ?? 0;
      const events = await transaction.query(
        'SELECT seq, at_ms, event FROM helio_events WHERE run = $1 AND seq > $2 ORDER BY seq',
        [run, since],
      );
      const merges = await transaction.query(
        'SELECT seq, fragment, version, blob FROM helio_merges WHERE run = $1 AND seq > $2 ORDER BY seq, fragment',
        [run, since],
      );
      const sessions = await transaction.query(
        'SELECT seq, settings FROM helio_sessions WHERE run = $1 ORDER BY number',
        [run],
      );
      return {
        checkpoint,
        events: events.map((e) => ({ seq: Number(e.seq), atMs: Number(e.at_ms), event: parse<Event>(e, 'event') })),
        merges: merges.map((m) => ({
          seq: Number(m.seq),
          fragment: Number(m.fragment),
          version: Number(m.version),
          blob: String(m.blob),
        })),
        sessions: sessions.map((s) => ({ seq: Number(s.seq), settings: parse<RunSettings>(s, 'settings') })),
      };
    });
  }

  load({ checkpoint, events, merges, sessions }: History): Promise<void> {
    const run = this.#run;
    return this.#transact(async (transaction) => {
      if (checkpoint !== undefined) {
        const { id, seq, state, blobs } = checkpoint;
        await transaction.query(
          'INSERT INTO helio_checkpoints (run, id, seq, state, blobs, committed) VALUES ($1, $2, $3, $4, $5, 1)',
          [run, id, seq, JSON.stringify(state), JSON.stringify(blobs)],
        );
      }
      await insert(transaction, run, events);
      for (const merge of merges) await insertMerge(transaction, run, merge);
      for (const [number, { seq, settings }] of sessions.entries()) {
        await transaction.query('INSERT INTO helio_sessions (run, number, seq, settings) VALUES ($1, $2, $3, $4)', [
          run,
          number + 1,
          seq,
          JSON.stringify(settings),
        ]);
      }
      this.#seq = events.at(-1)?.seq ?? checkpoint?.seq ?? 0;
    });
  }

  truncate(seq: number): Promise<void> {
    return this.#transact(async (transaction) => {
      await transaction.query('DELETE FROM helio_events WHERE run = $1 AND seq > $2', [this.#run, seq]);
      this.#seq = seq;
    });
  }

  addReceipts(receipts: readonly SignedReceipt[]): Promise<void> {
    return this.#transact((transaction) => insertReceipts(transaction, this.#run, receipts));
  }

  receipts(island: string | null): Promise<readonly SignedReceipt[]> {
    return this.#transact((transaction) => selectReceipts(transaction, this.#run, island));
  }

  blobs(): Promise<readonly string[]> {
    return this.#transact((transaction) => referred(transaction, this.#run));
  }

  ping(): Promise<void> {
    return this.#database.ping();
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#database.close();
    }
  }

  /** One transaction with all events that wait, and then `work`. */
  #transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const mine = this.#last.then(async () => {
      const events = this.#pending;
      this.#pending = [];
      return this.#database.transact(async (transaction) => {
        await insert(transaction, this.#run, events);
        return work(transaction);
      });
    });
    this.#last = mine;
    // Whoever asked for it hears of a failure; so does everyone after it.
    mine.catch(() => {});
    return mine;
  }
}

/** Rows in one statement: as many as SQLite takes parameters for. */
const ROWS = 5_000;

async function insert(transaction: Transaction, run: string, events: readonly LoggedEvent[]): Promise<void> {
  for (let from = 0; from < events.length; from += ROWS) {
    const some = events.slice(from, from + ROWS);
    // Few statements, few texts: the lengths are powers of two but for the last.
    for (let at = 0; at < some.length; ) {
      const count = 2 ** Math.floor(Math.log2(some.length - at));
      const places = Array.from({ length: count }, (_, i) => `($1, $${3 * i + 2}, $${3 * i + 3}, $${3 * i + 4})`);
      const values = some.slice(at, at + count).flatMap(({ seq, atMs, event }) => [seq, atMs, JSON.stringify(event)]);
      await transaction.query(`INSERT INTO helio_events (run, seq, at_ms, event) VALUES ${places.join(', ')}`, [
        run,
        ...values,
      ]);
      at += count;
    }
  }
}

async function insertMerge(
  transaction: Transaction,
  run: string,
  { seq, fragment, version, blob }: CommittedMerge,
): Promise<void> {
  await transaction.query('INSERT INTO helio_merges (run, seq, fragment, version, blob) VALUES ($1, $2, $3, $4, $5)', [
    run,
    seq,
    fragment,
    version,
    blob,
  ]);
}

async function referred(transaction: Transaction, run: string): Promise<readonly string[]> {
  const merges = await transaction.query('SELECT blob FROM helio_merges WHERE run = $1', [run]);
  const checkpoints = await transaction.query('SELECT blobs FROM helio_checkpoints WHERE run = $1', [run]);
  const parts = checkpoints.flatMap((row) => Object.values(parse<Record<string, string>>(row, 'blobs')));
  return [...new Set([...merges.map((row) => String(row.blob)), ...parts])];
}

const parse = <T>(row: Row, column: string): T => JSON.parse(String(row[column])) as T;

async function checkVersion(transaction: Transaction, place: string): Promise<void> {
  const [row] = await transaction.query("SELECT value FROM helio_meta WHERE name = 'schema'");
  if (row === undefined) {
    await transaction.query("INSERT INTO helio_meta (name, value) VALUES ('schema', $1)", [String(SCHEMA_VERSION)]);
    return;
  }
  if (Number(row.value) === SCHEMA_VERSION) return;
  throw new HelioError(
    'HELIO-3001',
    `The store ${place} has version ${String(row.value)}, and this Heliotrope reads version ${SCHEMA_VERSION}.`,
    Number(row.value) > SCHEMA_VERSION
      ? 'Install the newer Heliotrope that wrote it. Nothing was changed.'
      : 'Go on with the Heliotrope that wrote it, or start the run afresh. Nothing was changed.',
  );
}
