import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { findPostgres } from '../../scripts/postgres.mjs';
import type { Database } from '../../src/coordinator/store/database.ts';
import { openPostgres } from '../../src/coordinator/store/postgres.ts';
import { openSqlite } from '../../src/coordinator/store/sqlite.ts';
import { type PostgresServer, startPostgres } from '../services/postgres.ts';

/** Opens one run's place again and again. */
export interface Place {
  readonly run: string;
  open(): Promise<Database>;
  /** Another run in the same database, where that may hold many. */
  beside?(run: string): Place;
}
/** @param empty in a database where nobody was before */
export type NewPlace = (empty?: boolean) => Place;

export const newFile = (): string => path.join(mkdtempSync(path.join(tmpdir(), 'heliotrope-store-')), 'run.sqlite');

/** Where a test file's stores are: SQLite, and PostgreSQL where it is installed, which runs as long as the tests of the file do. */
export function storePlaces(): readonly (readonly [string, NewPlace])[] {
  const sqlite = (): Place => {
    const file = newFile();
    return { run: 'r', open: async () => openSqlite(file) };
  };
  if (findPostgres() === undefined) return [['SQLite', sqlite]];
  let server: PostgresServer | undefined;
  beforeAll(async () => {
    server = await startPostgres();
  }, 120_000);
  afterAll(() => server?.stop());
  let runs = 0;
  const inPostgres: NewPlace = (empty = false) => {
    const run = `run-${runs++}`;
    const url = new URL(server!.url);
    let made = !empty;
    if (empty) url.pathname = `/empty_${runs}`;
    const make = async (): Promise<void> => {
      made = true;
      const client = new pg.Client({ connectionString: server!.url });
      await client.connect();
      await client.query(`CREATE DATABASE ${url.pathname.slice(1)}`);
      await client.end();
    };
    return {
      run,
      async open() {
        if (!made) await make();
        return openPostgres(url.href, run);
      },
      beside: (other) => ({ run: other, open: () => openPostgres(url.href, other) }),
    };
  };
  return [
    ['SQLite', sqlite],
    ['PostgreSQL', inPostgres],
  ];
}
