import { HelioError } from '../../errors.ts';
import type { Event } from '../events.ts';
import type { RunSettings, RunState } from '../state.ts';
import type { Database, Row, Transaction } from './database.ts';
import type { Bucket } from './downsample.ts';
import { migrate } from './migrations.ts';
import { insertReceipts, purgeReceipts, type SignedReceipt, selectReceipts, selectReceiptsAfter } from './receipts.ts';
import { insertRows } from './rows.ts';
import type {
  Checkpoint,
  CommittedMerge,
  History,
  Kept,
  LoggedEvent,
  MergeRecord,
  RunStore,
  Snapshot,
} from './run-store.ts';
import {
  insertBuckets,
  insertRecords,
  type KeptRecord,
  prune,
  type RecordQuery,
  type SeriesPoint,
  type SeriesQuery,
  selectRecords,
  selectSeries,
  selectUnfinished,
} from './series.ts';

/** Events that are remembered at most while the database is away. */
const MAX_PENDING = 1_000_000;

/** What the coordinator's own state is kept under when it is suspended. */
const SUSPENDED = 'suspended';

/** A run's memory in a database: SQLite and PostgreSQL alike. Many events share one transaction, and one wait for the disk. */
export class SqlRunStore implements RunStore {
  readonly #database: Database;
  readonly #run: string;
  #seq: number;
  /** The number of the newest record. */
  #records: number;
  #pending: LoggedEvent[] = [];
  /** The last transaction that was begun: they are carried out one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(database: Database, run: string, { seq, records }: { seq: number; records: number }) {
    this.#database = database;
    this.#run = run;
    this.#seq = seq;
    this.#records = records;
  }

  /** @param run its identity: a database may hold many @throws HelioError HELIO-3001 when a newer version has written it */
  static async open(database: Database, run: string): Promise<SqlRunStore> {
    const counted = await database.transact(async (transaction) => {
      await migrate(transaction, database.place);
      const [row] = await transaction.query(
        `SELECT MAX(seq) AS seq FROM (SELECT seq FROM helio_events WHERE run = $1 UNION ALL
          SELECT seq FROM helio_checkpoints WHERE run = $1) AS all_seq`,
        [run],
      );
      const [newest] = await transaction.query('SELECT MAX(number) AS number FROM helio_records WHERE run = $1', [run]);
      return { seq: Number(row?.seq ?? 0), records: Number(newest?.number ?? 0) };
    });
    return new SqlRunStore(database, run, counted);
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

  saveCheckpoint({ id, ...snapshot }: Snapshot & { readonly id: string }): Promise<void> {
    return this.#transact((transaction) =>
      insertCheckpoint(transaction, this.#run, { ...snapshot, id, islandsSaved: true, missing: [] }, false),
    );
  }

  saveSuspended(suspended: Omit<Snapshot, 'seq'>): Promise<void> {
    return this.#transact((transaction) => {
      const snapshot = { ...suspended, id: SUSPENDED, seq: this.#seq, islandsSaved: false, missing: [] };
      return insertCheckpoint(transaction, this.#run, snapshot, true);
    });
  }

  commitCheckpoint(id: string, keep: number, missing: readonly string[] = []): Promise<readonly string[]> {
    const run = this.#run;
    return this.#transact(async (transaction) => {
      const before = await referred(transaction, run);
      await transaction.query('UPDATE helio_checkpoints SET committed = 1, missing = $3 WHERE run = $1 AND id = $2', [
        run,
        id,
        JSON.stringify(missing),
      ]);
      await transaction.query(
        `DELETE FROM helio_checkpoints WHERE run = $1 AND seq < (SELECT seq FROM helio_checkpoints WHERE run = $1 AND id = $2) AND id NOT IN
          (SELECT id FROM helio_checkpoints WHERE run = $1 AND committed = 1 AND islands_saved = 1 ORDER BY seq DESC LIMIT $3)`,
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
        `SELECT id, seq, state, blobs, islands_saved, missing FROM helio_checkpoints WHERE run = $1 AND committed = 1
          ORDER BY seq DESC, id DESC LIMIT 1`,
        [run],
      );
      const checkpoint = row === undefined ? undefined : checkpointOf(row);
      const since = checkpoint?.seq ?? 0;
      const events = await transaction.query(
        'SELECT seq, at_ms, event FROM helio_events WHERE run = $1 AND seq > $2 ORDER BY seq',
        [run, since],
      );
      const merges = await transaction.query(
        'SELECT seq, fragment, version, blob, what FROM helio_merges WHERE run = $1 AND seq > $2 ORDER BY seq, fragment',
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
          what: m.what === null ? null : parse<MergeRecord>(m, 'what'),
        })),
        sessions: sessions.map((s) => ({ seq: Number(s.seq), settings: parse<RunSettings>(s, 'settings') })),
      };
    });
  }

  load({ checkpoint, events, merges, sessions }: History): Promise<void> {
    const run = this.#run;
    return this.#transact(async (transaction) => {
      if (checkpoint !== undefined) await insertCheckpoint(transaction, run, checkpoint, true);
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

  addReceipts(receipts: readonly SignedReceipt[], purgeAtS?: number): Promise<void> {
    return this.#transact(async (transaction) => {
      await insertReceipts(transaction, this.#run, receipts);
      if (purgeAtS !== undefined) await purgeReceipts(transaction, this.#run, purgeAtS);
    });
  }

  receipts(island: string | null): Promise<readonly SignedReceipt[]> {
    return this.#transact((transaction) => selectReceipts(transaction, this.#run, island));
  }

  async *allReceipts(): AsyncIterable<readonly SignedReceipt[]> {
    let after: Awaited<ReturnType<typeof selectReceiptsAfter>>['end'];
    do {
      const from = after;
      const page = await this.#transact((transaction) => selectReceiptsAfter(transaction, this.#run, from));
      yield page.receipts;
      after = page.end;
    } while (after !== undefined);
  }

  keep({ records, buckets, pruneAtS }: Kept): Promise<void> {
    const number = this.#records + 1;
    this.#records += records.length;
    return this.#transact(async (transaction) => {
      await insertRecords(transaction, this.#run, records, number);
      await insertBuckets(transaction, this.#run, buckets);
      if (pruneAtS !== undefined) await prune(transaction, this.#run, pruneAtS);
    });
  }

  records(query: RecordQuery): Promise<readonly KeptRecord[]> {
    return this.#transact((transaction) => selectRecords(transaction, this.#run, query));
  }

  series(query: SeriesQuery): Promise<readonly SeriesPoint[]> {
    return this.#transact((transaction) => selectSeries(transaction, this.#run, query));
  }

  unfinishedSeries(nowS: number): Promise<readonly Bucket[]> {
    return this.#transact((transaction) => selectUnfinished(transaction, this.#run, nowS));
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

async function insert(transaction: Transaction, run: string, events: readonly LoggedEvent[]): Promise<void> {
  const rows = events.map(({ seq, atMs, event }) => [run, seq, atMs, JSON.stringify(event)]);
  await insertRows(transaction, 'INSERT INTO helio_events (run, seq, at_ms, event)', rows);
}

async function insertMerge(
  transaction: Transaction,
  run: string,
  { seq, fragment, version, blob, what }: CommittedMerge,
): Promise<void> {
  await transaction.query(
    'INSERT INTO helio_merges (run, seq, fragment, version, blob, what) VALUES ($1, $2, $3, $4, $5, $6)',
    [run, seq, fragment, version, blob, what === null ? null : JSON.stringify(what)],
  );
}

async function insertCheckpoint(
  transaction: Transaction,
  run: string,
  { id, seq, state, blobs, islandsSaved, missing }: Checkpoint,
  committed: boolean,
): Promise<void> {
  await transaction.query('DELETE FROM helio_checkpoints WHERE run = $1 AND id = $2', [run, id]);
  await transaction.query(
    `INSERT INTO helio_checkpoints (run, id, seq, state, blobs, committed, islands_saved, missing)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      run,
      id,
      seq,
      JSON.stringify(state),
      JSON.stringify(blobs),
      committed ? 1 : 0,
      islandsSaved ? 1 : 0,
      JSON.stringify(missing),
    ],
  );
}

const checkpointOf = (row: Row): Checkpoint => ({
  id: String(row.id),
  seq: Number(row.seq),
  state: parse<RunState>(row, 'state'),
  blobs: parse<Record<string, string>>(row, 'blobs'),
  islandsSaved: Number(row.islands_saved) === 1,
  missing: parse<readonly string[]>(row, 'missing'),
});

async function referred(transaction: Transaction, run: string): Promise<readonly string[]> {
  const merges = await transaction.query('SELECT blob FROM helio_merges WHERE run = $1', [run]);
  const checkpoints = await transaction.query('SELECT blobs FROM helio_checkpoints WHERE run = $1', [run]);
  const parts = checkpoints.flatMap((row) => Object.values(parse<Record<string, string>>(row, 'blobs')));
  return [...new Set([...merges.map((row) => String(row.blob)), ...parts])];
}

const parse = <T>(row: Row, column: string): T => JSON.parse(String(row[column])) as T;
