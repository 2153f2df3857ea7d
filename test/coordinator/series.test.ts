import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { type Bucket, bucketOf, Downsampler, type Point, RESOLUTIONS } from '../../src/coordinator/store/downsample.ts';
import type { RunStore } from '../../src/coordinator/store/run-store.ts';
import { prune } from '../../src/coordinator/store/series.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { type Lost, Telemetry } from '../../src/coordinator/store/telemetry.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';
import { storePlaces } from './places.ts';

/** A Thursday at ten, on a whole hour. */
const T = 1_700_000_000 - (1_700_000_000 % 3_600);
const progress = (island: string, change: object): RunRecord => ({
  kind: 'progress',
  island,
  progress: { ...NO_PROGRESS, ...change },
});
const evaluation = (runStep: number, loss: number): RunRecord => ({
  kind: 'evaluation',
  label: 'during',
  runStep,
  loss,
  tokens: 100,
});

describe('values that are gathered into buckets of time', () => {
  const values = fc.array(
    fc.record({ gapS: fc.double({ min: 0, max: 400, noNaN: true }), value: fc.integer({ min: -9, max: 9 }) }),
    {
      minLength: 1,
      maxLength: 60,
    },
  );

  it('are as many, as small, as large and as much at each resolution, also where a coordinator is killed in between', () => {
    fc.assert(
      fc.property(values, fc.nat(59), (all, killedAfter) => {
        const stored = new Map<string, Bucket>();
        const store = (downsampler: Downsampler): void => {
          for (const bucket of downsampler.take(1_000)) stored.set(`${bucket.resolutionS} ${bucket.bucketS}`, bucket);
        };
        let downsampler = new Downsampler();
        let atS = T;
        const kept: { readonly atS: number; readonly value: number }[] = [];
        for (const [i, { gapS, value }] of all.entries()) {
          atS += gapS;
          downsampler.tick(atS);
          downsampler.add('a', { loss: value }, atS);
          kept.push({ atS, value });
          store(downsampler);
          if (i !== killedAfter) continue;
          // All that was stored is there; the ten seconds that were open are lost.
          const openS = bucketOf(atS, 10);
          while (kept.length > 0 && kept.at(-1)!.atS >= openS) kept.pop();
          atS = openS + 10;
          downsampler = new Downsampler();
          downsampler.seed([...stored.values()]);
        }
        downsampler.tick(atS + 10_000);
        store(downsampler);
        for (const { resolutionS } of RESOLUTIONS) {
          const expected = new Map<number, Point>();
          for (const { atS: at, value } of kept) {
            const bucketS = bucketOf(at, resolutionS);
            const [count, min, max, sum] = expected.get(bucketS) ?? [0, Infinity, -Infinity, 0, 0];
            expected.set(bucketS, [count + 1, Math.min(min, value), Math.max(max, value), sum + value, value]);
          }
          const found = [...stored.values()].filter((bucket) => bucket.resolutionS === resolutionS);
          expect(new Map(found.map((bucket) => [bucket.bucketS, bucket.points.loss]))).toEqual(expected);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('are bounded while nobody takes them: the newest are kept, and the loss is counted', () => {
    const downsampler = new Downsampler();
    for (let i = 0; i < 12; i++) {
      for (let island = 0; island < 10_000; island++) downsampler.add(`island-${island}`, { loss: i }, T + 10 * i);
      downsampler.tick(T + 10 * i + 10);
    }
    expect(downsampler.waiting).toBeLessThanOrEqual(100_000);
    // Ten seconds of each island twelve times, and a minute twice.
    expect(downsampler.waiting + downsampler.takeLost()).toBe(10_000 * (12 + 2));
    expect(downsampler.takeLost()).toBe(0);
    expect(downsampler.take(100_000).at(-1)).toMatchObject({ bucketS: expect.toSatisfy((s: number) => s >= T + 60) });
  });
});

const here = storePlaces();

describe.each(here)('series and records in %s', (_, newPlace) => {
  const opened = async (place = newPlace()) => {
    const database = await place.open();
    return { place, database, store: await SqlRunStore.open(database, place.run) };
  };
  const all = { fromS: 0, toS: T + 1e9 };

  it('are asked for by name, island, time and resolution; of a bucket that is not over the finer ones are put together', async () => {
    const { store } = await opened();
    let nowS = T;
    const telemetry = await Telemetry.begin(
      store,
      () => nowS,
      () => {},
    );
    for (; nowS < T + 1_325; nowS += 5)
      for (const [i, island] of ['a', 'b'].entries())
        telemetry.take(progress(island, { loss: i + (nowS % 10), tokens: nowS - T }), { sentBytes: 2 * (nowS - T) });
    telemetry.take(evaluation(10, 3.25));
    await telemetry.close();
    const of = (resolutionS: 10 | 60 | 600, fromS = 0, toS = T + 1e9) =>
      store.series({ names: ['loss', 'nothing'], islands: ['b'], fromS, toS, resolutionS });
    const fine = await of(10, T + 100, T + 130);
    expect(fine).toEqual(
      [100, 110, 120].map((s) => ({
        name: 'loss',
        island: 'b',
        atS: T + s,
        count: 2,
        min: 1,
        max: 6,
        sum: 7,
        last: 6,
      })),
    );
    const minutes = await of(60);
    expect(minutes.map(({ atS, count }) => [atS - T, count])).toEqual([
      ...Array.from({ length: 22 }, (_, i) => [60 * i, 12]),
      [1_320, 1],
    ]);
    const coarse = await of(600);
    expect(coarse.map(({ atS, count }) => [atS - T, count])).toEqual([
      [0, 120],
      [600, 120],
      [1_200, 25],
    ]);
    const both = await store.series({ names: ['tokens', 'sentBytes'], ...all, fromS: T + 1_320, resolutionS: 10 });
    expect(both.map(({ name, island, last }) => [island, name, last])).toEqual([
      ['a', 'tokens', 1_320],
      ['a', 'sentBytes', 2_640],
      ['b', 'tokens', 1_320],
      ['b', 'sentBytes', 2_640],
    ]);
    expect(await store.series({ names: ['validationLoss'], islands: [''], ...all, resolutionS: 600 })).toEqual([
      { name: 'validationLoss', island: '', atS: T + 1_200, count: 1, min: 3.25, max: 3.25, sum: 3.25, last: 3.25 },
    ]);
    expect(await store.series({ names: ['__proto__', 'constructor'], ...all, resolutionS: 10 })).toEqual([]);
    await store.close();
  });

  it('go on after a restart: coarse buckets miss nothing of before', async () => {
    const { place, store } = await opened();
    let nowS = T;
    const session = async (into: RunStore, untilS: number): Promise<void> => {
      const telemetry = await Telemetry.begin(
        into,
        () => nowS,
        () => {},
      );
      for (; nowS < untilS; nowS += 10) telemetry.take(progress('a', { loss: 1 }));
      await telemetry.close();
    };
    await session(store, T + 250);
    await store.close();
    const { store: again } = await opened(place);
    nowS = T + 300;
    await session(again, T + 1_210);
    const coarse = await again.series({ names: ['loss'], islands: ['a'], ...all, resolutionS: 600 });
    expect(coarse.map(({ atS, count }) => [atS - T, count])).toEqual([
      [0, 55],
      [600, 60],
      [1_200, 1],
    ]);
    await again.close();
  });

  it('are bounded and go on when the clock was years ahead and is set back', async () => {
    const { place, store, database } = await opened();
    let nowS = T;
    const counted = async (): Promise<number> => {
      const [row] = await database.transact((t) =>
        t.query('SELECT COUNT(*) AS rows FROM helio_series WHERE run = $1 AND bucket_s < $2', [place.run, T + 1e7]),
      );
      return Number(row!.rows);
    };
    // The databases' own timers are left alone, and each writing is waited for, however long it takes.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    let kept = Promise.resolve();
    const waitedFor: Pick<RunStore, 'keep' | 'unfinishedSeries'> = {
      unfinishedSeries: (atS) => store.unfinishedSeries(atS),
      keep: (what) => {
        kept = store.keep(what);
        return kept;
      },
    };
    const telemetry = await Telemetry.begin(
      waitedFor,
      () => nowS,
      () => {},
    );
    const train = async (seconds: number): Promise<void> => {
      for (const untilS = nowS + seconds; nowS < untilS; nowS += 10) {
        telemetry.take(progress('a', { loss: 1 }));
        await vi.advanceTimersByTimeAsync(1_000);
        await kept;
      }
    };
    await train(300);
    nowS = T + 3e8;
    await train(60);
    nowS = T + 400;
    await train(2 * 3_600);
    await telemetry.close();
    const finest = await store.series({ names: ['loss'], islands: ['a'], fromS: T, toS: T + 1e7, resolutionS: 10 });
    // The last hour, in ten seconds each.
    expect(finest.length).toBeGreaterThan(350);
    expect(await counted()).toBeLessThan(370 + 130 + 15);
    const coarse = await store.series({ names: ['loss'], islands: ['a'], fromS: T, toS: T + 1e7, resolutionS: 600 });
    expect(coarse.slice(1, -1).every(({ count }) => count === 60)).toBe(true);
    // And after a restart what was written ahead of time is not what is gone on from.
    expect((await store.unfinishedSeries(nowS)).every(({ bucketS }) => bucketS <= nowS)).toBe(true);
    expect(await store.unfinishedSeries(nowS)).not.toEqual([]);
    await store.close();
  }, 60_000);

  it('are kept as long as is said: ten seconds for an hour, minutes for a day, ten minutes for good', async () => {
    const { store } = await opened();
    const points = { loss: [1, 1, 1, 1, 1] as const };
    const buckets = RESOLUTIONS.flatMap(({ resolutionS }) =>
      [0, 86_400, 86_400 + 3_600].map((s) => ({ island: 'a', resolutionS, bucketS: T + s, points })),
    );
    await store.keep({ records: [], buckets, pruneAtS: T + 86_400 + 3_601 });
    const ages = async (resolutionS: 10 | 60 | 600) =>
      (await store.series({ names: ['loss'], ...all, toS: T + 1e6, resolutionS })).map(({ atS }) => atS - T);
    expect(await ages(10)).toEqual([90_000]);
    expect(await ages(60)).toEqual([86_400, 90_000]);
    expect(await ages(600)).toEqual([0, 86_400, 90_000]);
    await store.close();
  });

  it('of too many islands lose the oldest buckets, the run itself none', async () => {
    const { place, store, database } = await opened();
    const points = { loss: [1, 1, 1, 1, 1] as const };
    const buckets = ['', 'a', 'b', 'c'].flatMap((island) =>
      [0, 600, 1_200].map((s) => ({ island, resolutionS: 600 as const, bucketS: T + s, points })),
    );
    await store.keep({ records: [], buckets });
    await database.transact((transaction) => prune(transaction, place.run, T, { records: 10, buckets: 5 }));
    const left = await store.series({ names: ['loss'], ...all, resolutionS: 600 });
    const of = (island: string) => left.filter((point) => point.island === island).map(({ atS }) => atS - T);
    expect([of(''), of('a'), of('c')]).toEqual([[0, 600, 1_200], [1_200], [1_200]]);
    await store.close();
  });

  it('keep the newest records of each kind, each bounded, and give them in their order', async () => {
    const { place, store, database } = await opened();
    const records = Array.from({ length: 30 }, (_, i) => ({ atS: T + i, record: evaluation(i, i) }));
    const phase = { atS: T + 50, record: { kind: 'phase', phase: 'training', reason: 'x'.repeat(20_000) } as const };
    const contributions = Array.from({ length: 10_000 }, (_, i) => ({
      island: `island-${i}`,
      round: 1,
      steps: 10,
      tokens: 100,
      weight: 100,
    }));
    const merge = { kind: 'merge', fragment: 0, version: 1, runStep: 10, contributions, missing: [] } as const;
    await store.keep({ records: [...records, phase], buckets: [] });
    await store.keep({ records: [{ atS: T + 60, record: merge }], buckets: [] });
    await database.transact((transaction) => prune(transaction, place.run, T, { records: 10, buckets: 10 }));
    const found = await store.records({ kinds: ['evaluation', 'merge', 'phase'] });
    expect(found.map(({ record }) => record.kind)).toEqual([...Array(10).fill('evaluation'), 'phase', 'merge']);
    expect(found[0]).toEqual({ atS: T + 20, record: evaluation(20, 20) });
    expect(JSON.stringify(found.at(-1)).length).toBeLessThan(8_192);
    expect(found.at(-1)!.record).toMatchObject({ version: 1, shortened: true });
    expect((await store.records({ kinds: ['evaluation'], fromS: T + 28 })).map(({ atS }) => atS - T)).toEqual([28, 29]);
    expect(await store.records({ kinds: ['evaluation'], most: 1 })).toMatchObject([{ atS: T + 29 }]);
    await store.close();
  });

  it('of 10,000 islands are one row for each and ten seconds, whatever they say', async () => {
    const { place, store, database } = await opened();
    let nowS = T;
    const telemetry = await Telemetry.begin(
      store,
      () => nowS,
      () => {},
    );
    for (; nowS < T + 10; nowS++)
      for (let i = 0; i < 10_000; i++) telemetry.take(progress(`island-${i}`, { step: i, loss: 0.1 * i }));
    await telemetry.close();
    const [row] = await database.transact((t) =>
      t.query('SELECT COUNT(*) AS rows FROM helio_series WHERE run = $1', [place.run]),
    );
    expect(Number(row!.rows)).toBe(10_000);
    await store.close();
  }, 60_000);

  it('wait in bounded memory while the store is away; the newest are kept, and the loss is said', async () => {
    const { store } = await opened();
    const away = Promise.withResolvers<void>();
    const slow: Pick<RunStore, 'keep' | 'unfinishedSeries'> = {
      unfinishedSeries: (nowS) => store.unfinishedSeries(nowS),
      keep: async (what) => {
        await away.promise;
        return store.keep(what);
      },
    };
    const lost: Lost[] = [];
    const telemetry = await Telemetry.begin(
      slow,
      () => T,
      (what) => lost.push(what),
    );
    for (let i = 0; i < 50_000; i++) telemetry.take(evaluation(i, i));
    expect(telemetry.waiting.records).toBeLessThanOrEqual(20_000);
    away.resolve();
    await telemetry.close();
    const kept = await store.records({ kinds: ['evaluation'] });
    expect(kept.at(-1)!.record).toMatchObject({ runStep: 49_999 });
    expect(kept.length + lost.reduce((sum, { records }) => sum + records, 0)).toBe(50_000);
    await store.close();
  });
});
