import { DatabaseSync } from 'node:sqlite';
import { explainSystemError, HelioError } from '../../errors.ts';
import type { Event, RunState } from '../state.ts';

/**
 * The run's memory in one SQLite file: the events that decided something, and the state at each checkpoint.
 * Events are committed in groups (one fsync for many: docs/decisions/0005-embedded-store.md).
 */
export class RunStore {
  readonly #database: DatabaseSync;
  #pending: { readonly atMs: number; readonly event: Event }[] = [];

  /** @throws HelioError HELIO-3001 when the file is there and no database */
  constructor(file: string) {
    try {
      this.#database = new DatabaseSync(file);
      this.#database.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, at_ms REAL NOT NULL, event TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS checkpoints (id TEXT PRIMARY KEY, state TEXT NOT NULL, committed INTEGER NOT NULL);
      `);
    } catch (error) {
      if (String(error).includes('not a database')) {
        throw new HelioError(
          'HELIO-3001',
          `${file} is not a run's database.`,
          'Restore it from a copy, or start the run afresh.',
          { cause: error },
        );
      }
      throw explainSystemError(error, `open the run's database ${file}`);
    }
  }

  /** Remembers an event with the next {@link flush}. */
  append(atMs: number, event: Event): void {
    this.#pending.push({ atMs, event });
    if (this.#pending.length >= MAX_PENDING) this.flush();
  }

  /** Commits all events since the last flush in one transaction. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const insert = this.#database.prepare('INSERT INTO events (at_ms, event) VALUES (?, ?)');
    this.#transact(() => {
      for (const { atMs, event } of this.#pending) insert.run(atMs, JSON.stringify(event));
    });
    this.#pending = [];
  }

  events(): readonly { readonly atMs: number; readonly event: Event }[] {
    this.flush();
    const rows = this.#database.prepare('SELECT at_ms, event FROM events ORDER BY seq').all();
    return rows.map((row) => ({ atMs: Number(row.at_ms), event: JSON.parse(String(row.event)) as Event }));
  }

  /** Keeps the state of a checkpoint that islands are still saving. */
  saveCheckpoint(id: string, state: RunState): void {
    this.flush();
    this.#transact(() => {
      this.#database
        .prepare('INSERT OR REPLACE INTO checkpoints (id, state, committed) VALUES (?, ?, 0)')
        .run(id, JSON.stringify(state));
    });
  }

  /** Marks a checkpoint as complete, and forgets all but the newest `keep`. @returns the ids that were forgotten */
  commitCheckpoint(id: string, keep: number): readonly string[] {
    let forgotten: readonly string[] = [];
    this.#transact(() => {
      this.#database.prepare('UPDATE checkpoints SET committed = 1 WHERE id = ?').run(id);
      const rows = this.#database
        .prepare(
          'SELECT id FROM checkpoints WHERE id < ? AND id NOT IN (SELECT id FROM checkpoints WHERE committed = 1 ORDER BY id DESC LIMIT ?)',
        )
        .all(id, keep);
      forgotten = rows.map((row) => String(row.id));
      for (const old of forgotten) this.#database.prepare('DELETE FROM checkpoints WHERE id = ?').run(old);
    });
    return forgotten;
  }

  /** The newest complete checkpoint. */
  newestCheckpoint(): { readonly id: string; readonly state: RunState } | undefined {
    const row = this.#database
      .prepare('SELECT id, state FROM checkpoints WHERE committed = 1 ORDER BY id DESC LIMIT 1')
      .get();
    return row === undefined ? undefined : { id: String(row.id), state: JSON.parse(String(row.state)) as RunState };
  }

  close(): void {
    this.flush();
    this.#database.close();
  }

  #transact(work: () => void): void {
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      throw explainSystemError(error, "write the run's database");
    }
  }
}

const MAX_PENDING = 1_000;
