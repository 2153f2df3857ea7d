import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/energy/policy/decide.ts';
import { shareOf } from '../../../src/energy/policy/plan-forecast.ts';
import { MODES, type Policy, policySchema } from '../../../src/energy/policy/policy-schema.ts';
import { newMemory, type SiteForecast, type SiteNow } from '../../../src/energy/policy/site-now.ts';
import { HOUR_MS, seriesOf } from '../../../src/energy/series.ts';
import { type GridPlan, islandForecastSchema } from '../../../src/protocol/forecast.ts';

/** A Tuesday, 12:30 in Berlin. */
const NOW = Date.UTC(2026, 5, 16, 10, 30);
const FULL = Math.floor(NOW / HOUR_MS) * HOUR_MS;
const policyOf = (change: Partial<Policy> = {}) => ({
  policy: { ...policySchema.parse({}), ...change },
  timeZone: 'Europe/Berlin',
});
const siteOf = (change: Partial<SiteNow> = {}): SiteNow => ({
  power: { computeW: 40, loadW: 100, gridW: 140 },
  reservePercent: 0,
  isGridConnected: true,
  machine: { idleW: 40, leastW: 150, mostW: 250 },
  dataThisMonthBytes: 0,
  signals: [],
  override: null,
  ...change,
});
const series = (values: readonly number[], startMs = FULL) =>
  seriesOf(startMs, HOUR_MS, values, { quality: 'assumed', method: 'typed in a test' });
const pv = (values: readonly number[]): SiteForecast => ({
  pvW: { low: series(values.map((w) => w / 2)), mid: series(values), high: series(values.map((w) => 2 * w)) },
});

describe('what a run is told of a site', () => {
  it('is what the household leaves of the sun, and never what it takes', () => {
    const share = shareOf(siteOf(), pv([0, 200, 300, 900]), policyOf({ mode: 'sun' }), NOW);
    expect(share.startS).toBe(FULL / 1000);
    // Below 150 W the machine does not train.
    expect(share.sunW.mid.slice(0, 5)).toEqual([0, 0, 200, 250, 0]);
    expect(share.sunW.high.slice(0, 5)).toEqual([0, 0, 250, 250, 0]);
    expect(share.gridW.every((w) => w === 0)).toBe(true);
  });

  it('of one that always trains is all of its power, and what of it the sun gives', () => {
    const forecast = { ...pv([0, 200, 300, 900]), intensityGPerKWh: series([400, 300, 200, Number.NaN]) };
    const share = shareOf(siteOf(), forecast, policyOf({ mode: 'always' }), NOW);
    expect(share.gridW.slice(0, 5)).toEqual([250, 150, 50, 0, 250]);
    expect(share.intensityGPerKWh.slice(0, 5)).toEqual([400, 300, 200, null, null]);
  });

  it('leaves out what its owner does not allow: quiet hours, dirty and dear ones, an outage, off', () => {
    const forecast = { intensityGPerKWh: series([100, 300, 100, 100]), pricePerKWh: series([0.2, 0.2, 0.6, 0.2]) };
    const gridW = (change: Partial<Policy>, site: Partial<SiteNow> = {}) =>
      shareOf(siteOf(site), forecast, policyOf({ mode: 'always', ...change }), NOW).gridW.slice(0, 4);
    expect(gridW({})).toEqual([250, 250, 250, 250]);
    expect(gridW({ maxIntensityGPerKWh: 250 })).toEqual([250, 0, 250, 250]);
    expect(gridW({ maxPricePerKWh: 0.3 })).toEqual([250, 250, 0, 250]);
    expect(gridW({ quietHours: [{ days: ['tue'], from: '13:00', to: '15:00' }] })).toEqual([250, 0, 0, 250]);
    expect(gridW({ powerCapW: 200 })).toEqual([200, 200, 200, 200]);
    expect(gridW({ mode: 'off' })).toEqual([0, 0, 0, 0]);
    expect(gridW({}, { isGridConnected: false })).toEqual([0, 0, 0, 0]);
  });

  it('can always be told: any site, policy and forecast make a message that the other side reads', () => {
    const value = fc.oneof(fc.double({ min: 0, max: 20_000, noNaN: true }), fc.constant(Number.NaN));
    const property = fc.property(
      fc.constantFrom(...MODES),
      fc.integer({ min: 0, max: 100 }),
      fc.array(value, { maxLength: 60 }),
      fc.integer({ min: -50, max: 50 }),
      fc.option(fc.integer({ min: 0, max: 5_000 })),
      (mode, gridSharePercent, values, late, loadW) => {
        const startMs = FULL + late * HOUR_MS;
        const band = { low: series(values, startMs), mid: series(values, startMs), high: series(values, startMs) };
        const forecast = {
          pvW: band,
          intensityGPerKWh: series(
            values.map((each) => each / 10),
            startMs,
          ),
        };
        const site = siteOf({ power: { computeW: 0, ...(loadW === null ? {} : { loadW }) } });
        const share = shareOf(site, forecast, policyOf({ mode, gridSharePercent }), NOW);
        islandForecastSchema.parse({ ...share, tokensPerWh: null });
        for (const [hour, sunW] of share.sunW.mid.entries())
          expect(sunW + share.gridW[hour]!).toBeLessThanOrEqual(250 + 1e-9);
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});

describe('a plan of the run', () => {
  const plan = (gridWh: readonly number[], objective: GridPlan['objective'] = 'carbon'): GridPlan => ({
    startS: FULL / 1000,
    gridWh: [...gridWh],
    objective,
  });
  const decided = (change: Partial<SiteNow>, policy: Partial<Policy> = { mode: 'always' }, nowMs = NOW) =>
    decide(siteOf(change), {}, policyOf(policy), newMemory(nowMs), nowMs);

  it('keeps an island off the grid until the hour that it names', () => {
    const { standing, powerW } = decided({ plan: plan([0, 0, 200, 0]) });
    expect(powerW).toBe(0);
    expect(standing).toEqual({
      state: 'away',
      reason: 'planned-later',
      next: { what: 'The run plans power from its grid for 14:00, when it is cleaner.', atS: FULL / 1000 + 7200 },
      fix: 'heliotrope resume',
    });
    expect(decided({ plan: plan([200, 0]) }).powerW).toBe(250);
    expect(decided({ plan: plan([0, 0, 9], 'cost') }).standing.next!.what).toContain('when it is cheaper');
  });

  it('that needs none of it says until when', () => {
    expect(decided({ plan: plan([0, 0]) }).standing.next).toEqual({
      what: 'The run needs no power from its grid until 14:00.',
      atS: FULL / 1000 + 7200,
    });
  });

  it('binds nobody before it begins and once it is over', () => {
    expect(decided({ plan: plan([0, 0]) }, { mode: 'always' }, FULL + 2 * HOUR_MS).powerW).toBe(250);
    expect(decided({ plan: plan([0, 0]) }, { mode: 'always' }, FULL - 1).powerW).toBe(250);
  });

  it('takes nothing from the sun, and comes after what the owner says', () => {
    const sunny = siteOf({ plan: plan([0, 0]), power: { computeW: 250, gridW: -400, loadW: 100 } });
    const on = { ...newMemory(NOW), isOn: true };
    expect(decide(sunny, {}, policyOf({ mode: 'always' }), on, NOW)).toMatchObject({
      powerW: 250,
      standing: { state: 'training' },
    });
    const resumed = decided({ plan: plan([0, 0]), override: { kind: 'resume', untilMs: null } });
    expect(resumed.standing.reason).toBe('resumed-by-owner');
    const paused = decided({ plan: plan([200, 200]), override: { kind: 'pause', untilMs: null } });
    expect(paused.standing.reason).toBe('paused-by-owner');
  });
});
