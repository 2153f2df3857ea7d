import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findPostgres } from '../../scripts/postgres.mjs';
import { initialState } from '../../src/coordinator/run.ts';
import type { Event } from '../../src/coordinator/state.ts';
import type { Database } from '../../src/coordinator/store/database.ts';
import { openPostgres } from '../../src/coordinator/store/postgres.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { openSqlite } from '../../src/coordinator/store/sqlite.ts';
import { type PostgresServer, startPostgres } from '../services/postgres.ts';
import { settingsFor } from './world.ts';

const settings = settingsFor();
const state = initialState(settings);
const newFile = (): string => path.join(mkdtempSync(path.join(tmpdir(), 'heliotrope-store-')), 'run.sqlite');
const left = (island: string): Event => ({ kind: 'left', island, reason: 'test' });

let server: PostgresServer | undefined;
beforeAll(async () => {
  server = await startPostgres();
}, 120_000);
afterAll(() => server?.stop());

/** Opens one run's place again and again. */
interface Place {
  readonly run: string;
  open(): Promise<Database>;
}
let runs = 0;
const PLACES: Readonly<Record<string, () => Place>> = {
  SQLite: () => {
    const file = newFile();
    return { run: 'r', open: async () => openSqlite(file) };
  },
  PostgreSQL: () => {
    const { url } = server!;
    const run = `run-${runs++}`;
    return { run, open: () => openPostgres(url, run) };
  },
};
const here = Object.entries(PLACES).filter(([name]) => name !== 'PostgreSQL' || findPostgres() !== undefined);

describe.each(here)('a run store in %s', (_, newPlace) => {
  const opened = async (place = newPlace()) => {
    return { place, store: await SqlRunStore.open(await place.open(), place.run) };
  };

  it('keeps events in their order, also those not yet flushed, across a reopening', async () => {
    const { place, store } = await opened();
    await store.beginSession(settings);
    for (let i = 0; i < 12_345; i++) expect(store.append(i, left(`island-${i}`))).toBe(i + 1);
    await store.close();
    const { store: again } = await opened(place);
    const { events, sessions } = await again.history();
    expect(events.map((e) => e.atMs)).toEqual(Array.from({ length: 12_345 }, (_, i) => i));
    expect(events[77]!.event).toEqual(left('island-77'));
    expect(sessions).toEqual([{ seq: 0, settings }]);
    expect(again.append(0, left('a'))).toBe(12_346);
    await again.close();
  });

  it('gives the newest complete checkpoint and what came after it, and not one under way', async () => {
    const { place, store } = await opened();
    const blobs = { parameters: 'aa' };
    expect(await store.history()).toMatchObject({ checkpoint: undefined, events: [], sessions: [] });
    store.append(1, left('a'));
    await store.saveCheckpoint({ id: '000001', seq: 1, state: { ...state, merges: 1 }, blobs });
    store.append(2, left('b'));
    expect((await store.history()).checkpoint).toBeUndefined();
    await store.commitCheckpoint('000001', 2);
    await store.commitMerge({ seq: 2, fragment: 0, version: 7, blob: 'bb' });
    await store.saveCheckpoint({ id: '000002', seq: 2, state: { ...state, merges: 2 }, blobs });
    await store.close();
    const { store: again } = await opened(place);
    expect(await again.history()).toEqual({
      checkpoint: { id: '000001', seq: 1, state: { ...state, merges: 1 }, blobs },
      events: [{ seq: 2, atMs: 2, event: left('b') }],
      merges: [{ seq: 2, fragment: 0, version: 7, blob: 'bb' }],
      sessions: [],
    });
    await again.close();
  });

  it('forgets all but as many checkpoints as are to be kept, and says which blobs nothing refers to any more', async () => {
    const { store } = await opened();
    const save = (n: number) =>
      store.saveCheckpoint({ id: `00000${n}`, seq: n, state, blobs: { parameters: `p${n}`, same: 's' } });
    for (let n = 1; n <= 4; n++) store.append(n, left('a'));
    for (let n = 1; n <= 4; n++) await store.commitMerge({ seq: n, fragment: 0, version: n, blob: `m${n}` });
    await save(1);
    await save(2);
    expect(await store.commitCheckpoint('000002', 2)).toEqual(['m1', 'm2', 'p1']);
    await save(3);
    expect(await store.commitCheckpoint('000003', 2)).toEqual([]);
    await save(4);
    expect(await store.commitCheckpoint('000004', 2)).toEqual(['m3', 'p2']);
    expect((await store.blobs()).toSorted()).toEqual(['m4', 'p3', 'p4', 's']);
    await store.close();
  });

  it('forgets what came after an event, and counts on from there', async () => {
    const { store } = await opened();
    for (let n = 1; n <= 5; n++) store.append(n, left('a'));
    await store.flush();
    await store.truncate(3);
    expect((await store.history()).events.map((e) => e.seq)).toEqual([1, 2, 3]);
    expect(store.append(9, left('b'))).toBe(4);
    await store.close();
  });

  it('keeps merges once: the same version of a fragment is not committed again, and nothing with it', async () => {
    const { store } = await opened();
    store.append(1, left('a'));
    await store.commitMerge({ seq: 1, fragment: 0, version: 1, blob: 'a' });
    store.append(2, left('b'));
    await expect(store.commitMerge({ seq: 2, fragment: 0, version: 1, blob: 'b' })).rejects.toThrow(
      /HELIO|unique|UNIQUE/,
    );
  });

  it('is held by one process: a second one is told who has it', async () => {
    const { place, store } = await opened();
    await expect(place.open().then((database) => SqlRunStore.open(database, place.run))).rejects.toMatchObject({
      code: 'HELIO-3005',
      what: expect.stringContaining('held by another process'),
    });
    await store.close();
    await (await opened(place)).store.close();
  });

  it('of a newer version is not touched', async () => {
    const { place, store } = await opened();
    await store.close();
    const database = await place.open();
    await database.transact((t) => t.query("UPDATE helio_meta SET value = '99' WHERE name = 'schema'"));
    await database.close();
    const newer = await place.open();
    await expect(SqlRunStore.open(newer, 'r')).rejects.toMatchObject({
      code: 'HELIO-3001',
      what: expect.stringContaining('has version 99, and this Heliotrope reads version 3'),
      remedy: expect.stringContaining('newer Heliotrope'),
    });
    await newer.transact((t) => t.query("UPDATE helio_meta SET value = '3' WHERE name = 'schema'"));
    await newer.close();
  });
});

describe('a SQLite store whose lock means nothing', () => {
  it('is refused to the one whose file was taken over, and nothing of it lands', async () => {
    const file = newFile();
    const database = openSqlite(file);
    const store = await SqlRunStore.open(database, 'r');
    store.append(1, left('a'));
    await store.flush();
    // As another process on another machine does it, which sees no lock.
    await database.transact((t) => t.query('UPDATE helio_holders SET epoch = epoch + 1'));
    store.append(2, left('b'));
    await expect(store.flush()).rejects.toMatchObject({ code: 'HELIO-3005' });
    await store.close().catch(() => {});
    const again = await SqlRunStore.open(openSqlite(file), 'r');
    expect((await again.history()).events.map((e) => e.seq)).toEqual([1]);
    await again.close();
  });
});

describe('a damaged SQLite store', () => {
  it('that is no database, or has a page overwritten, is said to be damaged, and is left as it is', async () => {
    const foreign = newFile();
    writeFileSync(foreign, 'not a database, certainly not one of SQLite'.repeat(200));
    expect(() => openSqlite(foreign)).toThrow(expect.objectContaining({ code: 'HELIO-3001' }));
  });

  it('whose last record is torn gives all before it', async () => {
    const { cpSync, readFileSync, truncateSync } = await import('node:fs');
    const file = newFile();
    const store = await SqlRunStore.open(openSqlite(file), 'r');
    for (let n = 1; n <= 3; n++) {
      store.append(n, left('a'));
      await store.flush();
    }
    // As a power cut leaves it: the log has half of the last commit.
    const copy = newFile();
    cpSync(file, copy);
    cpSync(`${file}-wal`, `${copy}-wal`);
    await store.close();
    truncateSync(`${copy}-wal`, readFileSync(`${copy}-wal`).length - 2_000);
    const again = await SqlRunStore.open(openSqlite(copy), 'r');
    expect((await again.history()).events.map((e) => e.seq)).toEqual([1, 2]);
    await again.close();
  });
});
