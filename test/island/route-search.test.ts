import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Ended, type Route, RouteSearch } from '../../src/island/node/route-search.ts';

const routes = (count: number): readonly Route[] =>
  Array.from({ length: count }, (_, i) => ({
    url: `ws://10.0.0.${i + 1}:7420/v1/run`,
    fingerprint: undefined,
    localAddress: undefined,
  }));
const failed: Ended = { why: 'ECONNREFUSED', heardMs: null, joinedMs: null, silent: false, retryAfterS: null };
const hostOf = ({ url }: Route): string => new URL(url).hostname;

describe('the search for a coordinator', () => {
  it('tries every route, waits after each round, and says what came of each', () => {
    const search = new RouteSearch(routes(3), 60, 0, () => 1);
    const tried: [string, number][] = [];
    let nowMs = 0;
    for (let waitMs: number | null = 0; waitMs !== null; ) {
      const host = hostOf(search.route);
      nowMs += 1_000;
      waitMs = search.after({ ...failed, why: `${host} is away` }, nowMs);
      tried.push([host, waitMs ?? -1]);
      nowMs += waitMs ?? 0;
    }
    expect(tried.slice(0, 9)).toEqual([
      ['10.0.0.1', 0],
      ['10.0.0.2', 0],
      ['10.0.0.3', 200],
      ['10.0.0.1', 0],
      ['10.0.0.2', 0],
      ['10.0.0.3', 400],
      ['10.0.0.1', 0],
      ['10.0.0.2', 0],
      ['10.0.0.3', 800],
    ]);
    expect(nowMs).toBeGreaterThan(60_000);
    expect(nowMs).toBeLessThan(70_000);
    expect(search.unreachable).toMatchObject({ code: 'HELIO-4002', exitCode: 3 });
    for (const { url } of routes(3))
      expect(search.unreachable.message).toContain(`${new URL(url).host} (${new URL(url).hostname} is away)`);
  });

  it('waits between half and all of twice the wait before, five seconds at first and never more than thirty', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 }), (draws) => {
        let draw = 0;
        const search = new RouteSearch(routes(1), 1e9, 0, () => draws[draw++ % draws.length]!);
        let nowMs = 0;
        for (let round = 0; round < 40; round++) {
          const waitMs = search.after(failed, nowMs)!;
          const bound = Math.min(200 * 2 ** round, Math.max(5_000, nowMs / 10), 30_000);
          expect(waitMs).toBeGreaterThanOrEqual(bound / 2);
          expect(waitMs).toBeLessThanOrEqual(bound);
          nowMs += waitMs;
        }
      }),
    );
  });

  it('counts patience from when the coordinator was last heard', () => {
    const search = new RouteSearch(routes(1), 60, 0, () => 1);
    expect(search.after({ ...failed, joinedMs: 1_000, heardMs: 3_600_000 }, 3_615_000)).toBe(200);
    expect(search.after(failed, 3_659_000)).not.toBeNull();
    expect(search.after(failed, 3_661_000)).toBeNull();
  });

  it('gives no route up that was not tried since', () => {
    const search = new RouteSearch(routes(2), 0, 0, () => 1);
    expect(search.after(failed, 100_000)).toBe(0);
    expect(search.after(failed, 100_001)).toBeNull();
  });

  it('stays on a good route, leaves one that fell silent, and asks none at once that ended at once', () => {
    const search = new RouteSearch(routes(2), 60, 0, () => 1);
    const joined: Ended = { ...failed, why: 'closed: 1012', joinedMs: 0, heardMs: 20_000 };
    expect([search.after(joined, 20_000), hostOf(search.route)]).toEqual([200, '10.0.0.1']);
    expect([search.after({ ...joined, silent: true }, 20_000), hostOf(search.route)]).toEqual([0, '10.0.0.2']);
    const brief = (nowMs: number): Ended => ({ ...joined, joinedMs: nowMs - 10, heardMs: nowMs });
    const waits = Array.from({ length: 8 }, (_, i) => search.after(brief(20_000 + i), 20_000 + i));
    expect(waits).toEqual([0, 200, 0, 400, 0, 800, 0, 1_600]);
  });

  it('waits as long as the coordinator says, on the same route, and with patience: it is there', () => {
    const search = new RouteSearch(routes(2), 10, 0, () => 0);
    const full: Ended = { ...failed, why: 'refused: The run is full.', retryAfterS: 30 };
    for (let nowMs = 0; nowMs < 1e6; nowMs += 30_000)
      expect([search.after(full, nowMs), hostOf(search.route)]).toEqual([30_000, '10.0.0.1']);
    expect(search.after({ ...full, retryAfterS: 1e9 }, 1e6)).toBe(3_600_000);
    expect(search.after({ ...full, retryAfterS: 0 }, 1e6)).toBeGreaterThan(0);
  });

  it('waits as long as a proxy asks, where all routes ask for it, and a minute at most; patience counts on', () => {
    const search = new RouteSearch(routes(2), 1_000, 0, () => 0);
    const busy: Ended = { ...failed, why: 'HTTP 429', routeAfterS: 7 };
    expect([search.after({ ...busy, routeAfterS: 9 }, 0), search.after(busy, 0)]).toEqual([0, 7_000]);
    expect([search.after(failed, 0), search.after(busy, 0)]).toEqual([0, 200]);
    expect([search.after({ ...busy, routeAfterS: 1e9 }, 0), search.after({ ...busy, routeAfterS: 1e9 }, 0)]).toEqual([
      0, 60_000,
    ]);
    search.after(busy, 1_001_000);
    expect(search.after(busy, 1_001_000)).toBeNull();
  });

  it('gives a slow coordinator more time each round', () => {
    const search = new RouteSearch(routes(2), 60, 0, () => 0);
    const times: number[] = [];
    for (let i = 0; i < 10; i++) {
      times.push(search.connectMs(0));
      search.after(failed, 0);
    }
    expect(search.connectMs(45_500)).toBe(14_500);
    expect(search.connectMs(59_999)).toBe(3_000);
    expect(times).toEqual([5_000, 5_000, 10_000, 10_000, 15_000, 15_000, 20_000, 20_000, 20_000, 20_000]);
  });
});
