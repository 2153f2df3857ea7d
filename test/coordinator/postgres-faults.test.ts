import { spawn } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../bench/chaos/fault-proxy.ts';
import { findPostgres } from '../../scripts/postgres.mjs';
import type { Event } from '../../src/coordinator/events.ts';
import { openPostgres } from '../../src/coordinator/store/postgres.ts';
import type { RetryPolicy } from '../../src/coordinator/store/retry.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { type PostgresServer, startPostgres } from '../services/postgres.ts';
import { settingsFor } from './world.ts';

/** A real PostgreSQL behind a real line that is harmed: nothing is lost, nothing is there twice, and this process goes on. */

const left = (island: string): Event => ({ kind: 'left', island, reason: 'test' });

let server: PostgresServer | undefined;
let proxy: FaultProxy;
let runs = 0;
let run = '';
const heard: string[] = [];

describe.skipIf(findPostgres() === undefined)('a run store in a PostgreSQL', () => {
  beforeAll(async () => {
    server = await startPostgres();
  }, 120_000);
  afterAll(() => server?.stop());
  beforeEach(async () => {
    run = `run-${runs++}`;
    heard.length = 0;
    proxy = await FaultProxy.before(Number(new URL(server!.url).port));
  });
  afterEach(() => proxy.close());

  const near = (): string => server!.url;
  const far = (): string => near().replace(/:\d+\//, `:${proxy.port}/`);
  const open = async (url: string, retry: Partial<RetryPolicy> = {}) =>
    SqlRunStore.open(
      await openPostgres(url, run, { answerMs: 2_000, say: (sentence) => heard.push(sentence), ...retry }),
      run,
    );
  /** What is there, as another process reads it once this one has let go. */
  const eventsThere = async (): Promise<readonly string[]> => {
    const store = await open(near());
    const { events } = await store.history();
    await store.close();
    return events.map(({ event }) => (event as { readonly island: string }).island);
  };

  it('commits once when the answer to COMMIT is lost', async () => {
    const store = await open(far());
    store.append(1, left('a'));
    await store.flush();
    for (const island of ['b', 'c', 'd']) {
      proxy.loseAnswerTo('COMMIT');
      store.append(2, left(island));
      await store.flush();
    }
    expect(proxy.sprung).toBe(3);
    await store.close();
    expect(await eventsThere()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('commits when the COMMIT itself is lost', async () => {
    const store = await open(far());
    for (const island of ['a', 'b']) {
      proxy.loseRequest('COMMIT');
      store.append(1, left(island));
      await store.flush();
    }
    expect(proxy.sprung).toBe(2);
    await store.close();
    expect(await eventsThere()).toEqual(['a', 'b']);
  });

  it('gives what a transaction gave before its answer was lost', async () => {
    const store = await open(far());
    const state = {} as never;
    for (let n = 1; n <= 2; n++) await store.saveCheckpoint({ id: `00000${n}`, seq: n, state, blobs: { a: `b${n}` } });
    proxy.loseAnswerTo('COMMIT');
    expect(await store.commitCheckpoint('000002', 1)).toEqual(['b1']);
    expect(proxy.sprung).toBe(1);
    await store.close();
  });

  it('goes on after its idle connection was cut, ended, or killed by the database', async () => {
    const store = await open(far());
    const harms = [() => proxy.cut(), () => proxy.halfClose(), killSessions, () => proxy.cut()];
    for (const [i, harm] of harms.entries()) {
      await harm();
      store.append(i, left(`island-${i}`));
      await store.flush();
    }
    await store.close();
    expect(await eventsThere()).toEqual(harms.map((_, i) => `island-${i}`));
  });

  it('is refused once another has taken the run, and nothing of it lands', async () => {
    const older = await open(far());
    older.append(1, left('a'));
    await older.flush();
    // Its line is dead, and the database has seen it end: whoever comes now takes the run.
    proxy.away();
    const younger = await retried(() => open(near()));
    younger.append(2, left('b'));
    await younger.flush();
    proxy.mend();
    older.append(2, left('c'));
    await expect(older.flush()).rejects.toMatchObject({
      code: 'HELIO-3005',
      what: expect.stringContaining('was taken over by another process'),
    });
    await expect(older.beginSession(settingsFor())).rejects.toMatchObject({ code: 'HELIO-3005' });
    younger.append(3, left('d'));
    await younger.flush();
    await older.close().catch(() => {});
    await younger.close();
    expect(await eventsThere()).toEqual(['a', 'b', 'd']);
  });

  it('that was interrupted inside a transaction by another that took the run, adds nothing', async () => {
    const database = await openPostgres(far(), run, { answerMs: 2_000 });
    const older = await SqlRunStore.open(database, run);
    const late = database.transact(async ({ query }) => {
      await query("INSERT INTO helio_events (run, seq, at_ms, event) VALUES ($1, 1, 0, '{}')", [run]);
      if (proxy.fault.kind === 'none') {
        proxy.away();
        await (await retried(() => open(near()))).close();
        proxy.mend();
      }
      return query('SELECT 1');
    });
    await expect(late).rejects.toMatchObject({ code: 'HELIO-3005' });
    await older.close().catch(() => {});
    expect(await eventsThere()).toEqual([]);
  });

  it('is taken from one whose machine is gone, though the database holds its session for alive', async () => {
    const gone = await open(far());
    gone.append(1, left('a'));
    await gone.flush();
    proxy.stall();
    await expect(open(near())).rejects.toMatchObject({ code: 'HELIO-3005' });
    const other = await openPostgres(near(), `other-${run}`);
    await other.transact(({ query }) =>
      query('UPDATE helio_holders SET renewed_s = renewed_s - 60 WHERE run = $1', [run]),
    );
    await other.close();
    expect(await eventsThere()).toEqual(['a']);
    proxy.mend();
    gone.append(2, left('b'));
    await expect(gone.flush()).rejects.toMatchObject({ code: 'HELIO-3005' });
    await gone.close().catch(() => {});
  });

  it('is not taken from a coordinator of version 0.1, which knows of no holders, and goes on writing', async () => {
    const older = new pg.Client({ connectionString: near() });
    await older.connect();
    await older.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`heliotrope ${run}`]);
    await expect(open(near())).rejects.toMatchObject({
      code: 'HELIO-3005',
      what: expect.stringContaining('is held by another process: of an earlier version of Heliotrope.'),
    });
    await older.end();
    await (await retried(() => open(near()))).close();
  });

  it('is waited for, which is said once and said again when it is over', async () => {
    const store = await open(far(), { sayAfterMs: 300 });
    store.append(1, left('a'));
    proxy.away();
    const flushed = store.flush();
    await until(() => heard.length === 1);
    expect(heard[0]).toMatch(
      /^The database postgres:\/\/127.0.0.1:\d+\/postgres has not answered for 0.3 s.*; waiting up to 60 s\.$/,
    );
    proxy.mend();
    await flushed;
    expect(heard[1]).toMatch(/answers again, after [\d.]+ s\.$/);
    await store.close();
    expect(await eventsThere()).toEqual(['a']);
  });

  it('that takes a connection and never answers is left after a while, and found again', async () => {
    const store = await open(far(), { answerMs: 500 });
    store.append(1, left('a'));
    const before = proxy.connections;
    proxy.stall();
    const flushed = store.flush();
    await until(() => proxy.connections > before);
    proxy.mend();
    await flushed;
    await store.close();
    expect(await eventsThere()).toEqual(['a']);
  });

  it('that stays away is given up after as long as was promised, and the run is whole', async () => {
    const store = await open(far(), { forMs: 1_500, answerMs: 500 });
    store.append(1, left('a'));
    await store.flush();
    proxy.away();
    store.append(2, left('b'));
    await expect(store.flush()).rejects.toMatchObject({
      code: 'HELIO-3006',
      what: expect.stringContaining('cannot be used'),
    });
    await expect(openPostgres(far(), 'other', { forMs: 500 })).rejects.toMatchObject({ code: 'HELIO-3006' });
    proxy.mend();
    await store.close().catch(() => {});
    expect(await eventsThere()).toEqual(['a']);
  });

  it('after a COMMIT of which nothing was heard to the end, takes no more from this process', async () => {
    const store = await open(far(), { forMs: 1_000, answerMs: 500 });
    proxy.loseAnswerTo('COMMIT');
    store.append(1, left('a'));
    const flushed = store.flush();
    await until(() => proxy.sprung === 1);
    proxy.away();
    await expect(flushed).rejects.toMatchObject({ code: 'HELIO-3006' });
    proxy.mend();
    store.append(2, left('b'));
    await expect(store.flush()).rejects.toMatchObject({ code: 'HELIO-3006' });
    await store.close().catch(() => {});
    expect(await eventsThere()).toEqual(['a']);
  });

  it('says within seconds whether it can be used', async () => {
    const store = await open(far());
    await store.ping();
    proxy.away();
    await expect(store.ping()).rejects.toMatchObject({ code: 'HELIO-3006' });
    proxy.mend();
    await store.ping();
    proxy.stall();
    const all = Array.from({ length: 20 }, () => store.ping().catch((error: { code: string }) => error.code));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['HELIO-3006']));
    proxy.mend();
    await until(() =>
      store.ping().then(
        () => true,
        () => false,
      ),
    );
    await store.close();
  });

  it('has every event once after 200 cuts at random places, and the process that wrote them lives', async () => {
    const child = spawn(
      process.execPath,
      [path.join(import.meta.dirname, '../services/postgres-writer.ts'), far(), run, '400'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const acknowledged: string[] = [];
    child.stdout
      .setEncoding('utf8')
      .on('data', (text: string) => acknowledged.push(...text.split('\n').filter(Boolean)));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const random = seeded(16);
    let over = false;
    void ended.then(() => {
      over = true;
    });
    let cuts = 0;
    await until(() => acknowledged.length > 3 || over);
    while (cuts < 200 && !over) {
      const before = proxy.sprung;
      proxy.cutAfter(1 + Math.floor(random() * 4_000), random() < 0.6 ? 'up' : 'down');
      await until(() => proxy.sprung > before || over);
      if (proxy.sprung > before) cuts++;
      // Now and then there is time enough for it to come through.
      if (random() < 0.7) await sleep(20 + random() * 60);
    }
    proxy.mend();
    if (!over) child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(cuts).toBe(200);
    const there = await eventsThere();
    expect(new Set(there).size).toBe(there.length);
    expect(there).toEqual(there.map((_, i) => `event-${i}`));
    // What was said to be committed is, and in the order in which it was.
    expect(acknowledged.length).toBeGreaterThan(20);
    expect(there.slice(0, acknowledged.length)).toEqual(acknowledged);
  }, 240_000);

  async function killSessions(): Promise<void> {
    const store = await openPostgres(near(), `killer-${run}`);
    await store.transact(({ query }) =>
      query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name LIKE 'heliotrope%'",
      ),
    );
    await store.close();
  }
});

async function until(condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const startMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - startMs > ms) throw new Error('waited in vain');
    await sleep(10);
  }
}

/** A database needs a moment to see that a connection has ended. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries > 20) throw error;
      await sleep(200);
    }
  }
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
