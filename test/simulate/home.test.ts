import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide, newMemory } from '../../src/energy/policy/index.ts';
import { type SiteFile, siteSchema } from '../../src/energy/site/site-schema.ts';
import { assumedWeather } from '../../src/energy/site/solar.ts';
import { type HomeSpan, SimulatedHome } from '../../src/simulate/home.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 5, 20);
const siteOf = (change: Partial<SiteFile> = {}) =>
  siteSchema.parse({
    location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: 'Europe/Berlin' },
    solar: { arrays: [{ peakW: 8_000, tiltDeg: 30, azimuthDeg: 180 }] },
    battery: { capacityWh: 10_000, chargeW: 5_000, dischargeW: 5_000 },
    ...change,
  });
const around = (site: ReturnType<typeof siteOf>, cloudFactor = 0.8) => ({
  weatherAt: assumedWeather(site, cloudFactor),
  intensityGPerKWh: () => 300,
});

/** Lives a site by its policy for so long, deciding every minute. */
function live(change: Partial<SiteFile>, hours: number, cloudFactor?: number) {
  const site = siteOf(change);
  const spans: HomeSpan[] = [];
  const home = new SimulatedHome(site, START, around(site, cloudFactor), (span) => spans.push(span));
  let memory = newMemory(START);
  let powerW = 0;
  let starts = 0;
  const onAt: number[] = [];
  for (let nowMs = START; nowMs < START + hours * HOUR; nowMs += 60_000) {
    const decision = decide(
      home.now(nowMs, Math.max(site.machine.idleW, powerW)),
      home.forecast(nowMs),
      { policy: site.policy, timeZone: site.location.timeZone },
      memory,
      nowMs,
    );
    memory = decision.memory;
    if (powerW === 0 && decision.powerW > 0) starts++;
    ({ powerW } = decision);
    if (powerW > 0) onAt.push(nowMs);
    home.advance(nowMs + 60_000, powerW);
  }
  const sum = (key: keyof HomeSpan['flows']): number => spans.reduce((total, { flows }) => total + flows[key], 0);
  return { site, home, spans, starts, onAt, sum };
}

it('a home in mode sun trains by day and not by night, and takes almost nothing from the grid', () => {
  const { onAt, sum, starts } = live({}, 48);
  const hours = onAt.map((ms) => new Date(ms + 2 * HOUR).getUTCHours());
  expect(onAt.length).toBeGreaterThan(60);
  expect(hours.every((hour) => hour >= 6 && hour <= 21)).toBe(true);
  expect(
    sum('gridToComputeWh') / (sum('pvToComputeWh') + sum('gridToComputeWh') + sum('batteryToComputeWh')),
  ).toBeLessThan(0.05);
  expect(starts).toBeLessThan(10);
});

it('with its battery it trains into the evening, and leaves the reserve', () => {
  const sunny = live({ policy: { mode: 'sun' } }, 48);
  const { onAt, home, sum } = live({ policy: { mode: 'sun-and-battery' } }, 48);
  expect(onAt.length).toBeGreaterThan(sunny.onAt.length);
  expect(sum('batteryToComputeWh')).toBeGreaterThan(500);
  expect(home.batteryPercent!).toBeGreaterThan(19);
});

it('where the sun is another, other homes train: Auckland by its own day', () => {
  const { onAt } = live(
    {
      location: { latitudeDeg: -36.85, longitudeDeg: 174.76, timeZone: 'Pacific/Auckland' },
      solar: { arrays: [{ peakW: 8_000, tiltDeg: 40, azimuthDeg: 0 }] },
    },
    48,
  );
  const local = onAt.map((ms) =>
    Number(
      new Intl.DateTimeFormat('en-GB', { timeZone: 'Pacific/Auckland', hour: '2-digit', hourCycle: 'h23' }).format(ms),
    ),
  );
  expect(local.length).toBeGreaterThan(10);
  expect(local.every((hour) => hour >= 7 && hour <= 18)).toBe(true);
});

it('every watt-hour of a simulated home has a place, whatever its machine draws', () => {
  fc.assert(
    fc.property(
      fc.record({
        latitudeDeg: fc.integer({ min: -66, max: 66 }),
        longitudeDeg: fc.integer({ min: -180, max: 180 }),
        peakW: fc.integer({ min: 50, max: 20_000 }),
        capacityWh: fc.integer({ min: 200, max: 40_000 }),
        cloud: fc.double({ min: 0.05, max: 1, noNaN: true }),
        draws: fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 24 }),
        exportLimitW: fc.option(fc.constantFrom(0, 50, 600, 5_000), { nil: undefined }),
      }),
      ({ latitudeDeg, longitudeDeg, peakW, capacityWh, cloud, draws, exportLimitW }) => {
        const site = siteOf({
          location: { latitudeDeg, longitudeDeg },
          solar: { arrays: [{ peakW, tiltDeg: 20, azimuthDeg: 180 }], exportLimitW },
          battery: { capacityWh, chargeW: capacityWh / 2, dischargeW: capacityWh / 2 },
        });
        const spans: HomeSpan[] = [];
        const home = new SimulatedHome(site, START, around(site, cloud), (span) => spans.push(span));
        for (const [i, drawW] of draws.entries()) home.advance(START + (i + 1) * 37 * 60_000, drawW);
        for (const { fromMs, toMs, pvW, loadW, flows } of spans) {
          const hours = (toMs - fromMs) / HOUR;
          const f = flows;
          expect(f.pvToLoadWh + f.pvToComputeWh + f.pvToBatteryWh + f.pvToGridWh + f.curtailedWh).toBeCloseTo(
            pvW * hours,
            6,
          );
          expect(f.pvToLoadWh + f.batteryToLoadWh + f.gridToLoadWh + f.unservedLoadWh).toBeCloseTo(loadW * hours, 6);
          expect(f.pvToBatteryWh + f.gridToBatteryWh - f.batteryToLoadWh - f.batteryToComputeWh).toBeCloseTo(
            f.storedWh + f.batteryLossWh,
            6,
          );
        }
        expect(spans.at(-1)!.toMs).toBe(START + draws.length * 37 * 60_000);
      },
    ),
    { numRuns: 100 },
  );
});
