import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/coordinator/events.ts';
import { entriesOf } from '../../src/coordinator/persistent-map.ts';
import { recover } from '../../src/coordinator/recovery.ts';
import { islandOf } from '../../src/coordinator/roster.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { SignedReceipt } from '../../src/coordinator/store/receipts.ts';
import type { MergeRecord } from '../../src/coordinator/store/run-store.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { openSqlite } from '../../src/coordinator/store/sqlite.ts';
import { newFile, storePlaces } from './places.ts';
import { writeSchema3 } from './schema-3.ts';
import { settingsFor } from './world.ts';

const settings = settingsFor({}, { expectedIslands: 1 });
const state = initialState(settings);
const what: MergeRecord = {
  contributions: [
    { island: 'a', key: 'k', round: 1, steps: 10, tokens: 990, length: 0.1 + 0.2, weight: 990, sha256: 'ff' },
    { island: 'b', key: 'l', round: 3, steps: 0, tokens: 0, weight: 0, sha256: '' },
  ],
  runStep: 10,
  progress: 10.333333333333334,
  nextStep: 20,
};
const left = (island: string): Event => ({ kind: 'left', island, reason: 'test' });

const here = storePlaces();

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

  describe('forgets receipts', () => {
    const DAY_S = 86_400;
    const NOW_S = 1_800_000_000;
    const receipt = (merged: number, atS: number, fragment = 0): SignedReceipt => ({
      receipt: {
        run: 'r',
        island: 'a',
        key: 'k',
        fragment,
        version: merged - 1,
        merged,
        round: merged,
        steps: 1,
        tokens: 1,
        share: 1,
        hash: 'h',
        atS,
        handedIn: 's',
      },
      signature: 's',
    });
    /** Receipts of merges at these times, one after the other, as they are handed over. */
    const keptOf = async (times: readonly number[]): Promise<readonly number[]> => {
      const { store } = await opened();
      for (const [i, atS] of times.entries()) await store.addReceipts([receipt(i + 1, atS)], atS);
      const kept = await store.receipts(null);
      await store.close();
      return kept.map((each) => each.receipt.merged).toSorted((a, b) => a - b);
    };
    const from = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

    it('of which 400 days have passed', async () => {
      const daily = from(0, 512).map((day) => NOW_S + day * DAY_S);
      expect(await keptOf(daily)).toEqual(from(512 - 400, 401));
    });

    it('of each fragment by its own merges, and of none before it is told to', async () => {
      const { store } = await opened();
      const at = (day: number): number => NOW_S + day * DAY_S;
      for (let day = 0; day <= 410; day++) {
        await store.addReceipts([receipt(day + 1, at(day))]);
        if (day % 10 === 0) await store.addReceipts([receipt(day / 10 + 1, at(day), 1)]);
      }
      expect(await store.receipts(null)).toHaveLength(411 + 42);
      await store.addReceipts([], at(410));
      const kept = await store.receipts(null);
      await store.close();
      const of = (fragment: number): number => kept.filter(({ receipt: each }) => each.fragment === fragment).length;
      // A pause between merges counts as a day at most: of the second fragment 41 days have passed.
      expect([of(0), of(1)]).toEqual([401, 42]);
    });

    it('not those that were signed just before a clock at 1970 was put right', async () => {
      const wrong = from(0, 60).map((minute) => 60 * minute);
      const right = from(0, 68).map((minute) => NOW_S + 60 * minute);
      expect(await keptOf([...wrong, ...right])).toEqual(from(1, 128));
    });

    it('not those of a year that was skipped by a clock far ahead, nor when it is put right', async () => {
      const before = from(0, 60).map((minute) => NOW_S + 60 * minute);
      const ahead = from(60, 68).map((minute) => NOW_S + 3_000 * DAY_S + 60 * minute);
      const after = from(128, 64).map((minute) => NOW_S + 60 * minute);
      expect(await keptOf([...before, ...ahead])).toEqual(from(1, 128));
      expect(await keptOf([...before, ...ahead, ...after])).toEqual(from(1, 192));
    });

    it('not those before a clock fell back to 1970 and came forward again, again and again', async () => {
      const times = from(0, 256).map((minute) => (minute % 8 < 4 ? NOW_S : 0) + 60 * minute);
      expect(await keptOf(times)).toEqual(from(1, 256));
    });
  });

  it('gives the newest complete checkpoint and what came after it, and not one under way', async () => {
    const { place, store } = await opened();
    const blobs = { parameters: 'aa' };
    expect(await store.history()).toMatchObject({ checkpoint: undefined, events: [], sessions: [] });
    store.append(1, left('a'));
    await store.saveCheckpoint({ id: '000001', seq: 1, state: { ...state, merges: 1 }, blobs });
    store.append(2, left('b'));
    expect((await store.history()).checkpoint).toBeUndefined();
    await store.commitCheckpoint('000001', 2, ['c']);
    await store.commitMerge({ seq: 2, fragment: 0, version: 7, blob: 'bb', what });
    await store.saveCheckpoint({ id: '000002', seq: 2, state: { ...state, merges: 2 }, blobs });
    await store.close();
    const { store: again } = await opened(place);
    expect(await again.history()).toEqual({
      checkpoint: { id: '000001', seq: 1, state: { ...state, merges: 1 }, blobs, islandsSaved: true, missing: ['c'] },
      events: [{ seq: 2, atMs: 2, event: left('b') }],
      merges: [{ seq: 2, fragment: 0, version: 7, blob: 'bb', what }],
      sessions: [],
    });
    await again.close();
  });

  it('forgets all but as many checkpoints as are to be kept, and says which blobs nothing refers to any more', async () => {
    const { store } = await opened();
    const save = (n: number) =>
      store.saveCheckpoint({ id: `00000${n}`, seq: n, state, blobs: { parameters: `p${n}`, same: 's' } });
    for (let n = 1; n <= 4; n++) store.append(n, left('a'));
    for (let n = 1; n <= 4; n++)
      await store.commitMerge({ seq: n, fragment: 0, version: n, blob: `m${n}`, what: null });
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

  it('keeps the state that a coordinator was suspended in, with all that was appended before, until a checkpoint is newer', async () => {
    const { place, store } = await opened();
    const save = (n: number) =>
      store.saveCheckpoint({ id: `00000${n}`, seq: n, state, blobs: { parameters: `p${n}` } });
    store.append(1, left('a'));
    await save(1);
    await store.commitCheckpoint('000001', 1);
    store.append(2, left('b'));
    await store.saveSuspended({ state: { ...state, merges: 7 }, blobs: { parameters: 's1' } });
    await store.close();
    const { store: again } = await opened(place);
    const { checkpoint, events } = await again.history();
    expect(checkpoint).toMatchObject({
      seq: 2,
      islandsSaved: false,
      blobs: { parameters: 's1' },
      state: { merges: 7 },
    });
    expect(events).toEqual([]);
    again.append(3, left('c'));
    await again.saveSuspended({ state: { ...state, merges: 8 }, blobs: { parameters: 's2' } });
    expect((await again.history()).checkpoint).toMatchObject({ seq: 3, state: { merges: 8 } });
    expect((await again.blobs()).toSorted()).toEqual(['p1', 's2']);
    again.append(4, left('d'));
    await again.saveCheckpoint({ id: '000002', seq: 4, state, blobs: { parameters: 'p2' } });
    expect((await again.commitCheckpoint('000002', 1)).toSorted()).toEqual(['p1', 's2']);
    expect((await again.history()).checkpoint).toMatchObject({ id: '000002', islandsSaved: true });
    await again.close();
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
    await store.commitMerge({ seq: 1, fragment: 0, version: 1, blob: 'a', what: null });
    store.append(2, left('b'));
    await expect(store.commitMerge({ seq: 2, fragment: 0, version: 1, blob: 'b', what: null })).rejects.toThrow(
      /HELIO|unique|UNIQUE/,
    );
  });

  it('keeps nothing of a transaction that failed, and carries out the next one', async () => {
    const { open } = newPlace();
    const database = await open();
    await database.transact((t) => t.query('CREATE TABLE IF NOT EXISTS numbers (n BIGINT PRIMARY KEY)'));
    await database.transact((t) => t.query('DELETE FROM numbers'));
    const failing = database.transact(async ({ query }) => {
      await query('INSERT INTO numbers (n) VALUES (1)');
      throw new Error('on second thoughts');
    });
    await expect(failing).rejects.toThrow('on second thoughts');
    const twice = database.transact(async ({ query }) => {
      for (let i = 0; i < 2; i++) await query('INSERT INTO numbers (n) VALUES (2)');
    });
    await expect(twice).rejects.toThrow(/unique/i);
    await database.transact(({ query }) => query('INSERT INTO numbers (n) VALUES (3)'));
    const rows = await database.transact(({ query }) => query('SELECT n FROM numbers'));
    expect(rows.map(({ n }) => Number(n))).toEqual([3]);
    await database.close();
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

  it('of schema 3 is brought to this one when it is opened, and its run goes on from every merge', async () => {
    const place = newPlace(true);
    const database = await place.open();
    await writeSchema3(database, place.run, settings);
    await database.close();
    for (let time = 0; time < 2; time++) {
      const { store } = await opened(place);
      const history = await store.history();
      expect(history.checkpoint).toMatchObject({ id: '000001', seq: 40, islandsSaved: true, missing: [] });
      expect(history.merges).toEqual([{ seq: 42, fragment: 0, version: 2, blob: 'bb', what: null }]);
      const { state: recovered, records } = recover(history)!;
      expect(records).toMatchObject([{ kind: 'merge', version: 2 }]);
      expect(recovered).toMatchObject({
        merges: 2,
        mergedTokens: 2000,
        evaluation: { id: 3 },
        partTokens: [],
        early: { size: 0 },
      });
      expect(recovered.fragments).toMatchObject([{ version: 2, runStep: 20 }]);
      expect(entriesOf(recovered.banned)).toEqual([['key-9', 'not finite']]);
      expect(islandOf(recovered.islands, 'island-1')).toMatchObject({
        merged: [2],
        offences: 1,
        evaluates: true,
        lapses: 0,
      });
      // And it can be gone on from.
      const back = react(settings, recovered, { kind: 'recovered', trainedMs: 1 }, 0).state;
      const joined = { kind: 'joined', island: 'island-1', key: 'key-1', invitation: null, holds: [] } as const;
      const { effects } = react(settings, back, joined, 1);
      expect(effects).toContainEqual(expect.objectContaining({ kind: 'send-state', island: 'island-1' }));
      await store.close();
    }
    const { store } = await opened(place);
    store.append(1, left('a'));
    await store.commitMerge({ seq: 43, fragment: 0, version: 3, blob: 'cc', what });
    expect((await store.history()).merges.at(-1)).toEqual({ seq: 43, fragment: 0, version: 3, blob: 'cc', what });
    await store.close();
  });

  it('of schema 3 that two runs share is brought to this one once, whoever opens it first', async (context) => {
    const place = newPlace(true);
    if (place.beside === undefined) return context.skip();
    const database = await place.open();
    await writeSchema3(database, place.run, settings);
    await database.close();
    const places = [place, place.beside('other'), place.beside('third')];
    const stores = await Promise.all(places.map(async (each) => (await opened(each)).store));
    expect((await stores[0]!.history()).merges).toHaveLength(1);
    await Promise.all(stores.map((store) => store.close()));
  });

  it('that is new and that many runs begin in at once is made once', async (context) => {
    const place = newPlace(true);
    if (place.beside === undefined) return context.skip();
    await (await place.open()).close();
    const places = ['a', 'b', 'c', 'd', 'e'].map((run) => place.beside!(run));
    const stores = await Promise.all(places.map(async (each) => (await opened(each)).store));
    await Promise.all(stores.map((store) => store.close()));
  });

  it('of a version that is too old is not touched', async () => {
    const place = newPlace(true);
    const database = await place.open();
    await writeSchema3(database, place.run, settings);
    await database.transact((t) => t.query("UPDATE helio_meta SET value = '2' WHERE name = 'schema'"));
    await expect(SqlRunStore.open(database, place.run)).rejects.toMatchObject({
      code: 'HELIO-3001',
      what: expect.stringContaining('has version 2, and this Heliotrope reads versions 3 to 4'),
    });
    const [row] = await database.transact((t) => t.query("SELECT value FROM helio_meta WHERE name = 'schema'"));
    expect(row!.value).toBe('2');
    await database.close();
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
      what: expect.stringContaining('has version 99, and this Heliotrope reads versions 3 to 4'),
      remedy: expect.stringContaining('newer Heliotrope'),
    });
    await newer.transact((t) => t.query("UPDATE helio_meta SET value = '4' WHERE name = 'schema'"));
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
