import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type EnergyInterval,
  IntervalRecorder,
  reportOf,
  sourcesOf,
  storedAt,
} from '../../src/energy/accounting/index.ts';
import { type HomeSpan, SimulatedHome } from '../../src/simulate/home.ts';
import { parseHomes } from '../../src/simulate/homes-file.ts';
import { surroundingsOf } from '../../src/simulate/surroundings.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 5, 20);
const homeOf = (more: string) =>
  parseHomes(
    `homes:\n  - name: a\n    location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }\n    solar: { arrays: [{ peakW: 8000, tiltDeg: 30, azimuthDeg: 180 }] }\n${more
      .split('\n')
      .map((line) => `    ${line}\n`)
      .join('')}`,
    'homes.yaml',
  ).homes[0]!;
const SYNTHETIC = 'grid: { zone: DE-LU, intensity: { kind: synthetic, zone: DE-LU, seed: 3 } }';

describe('grid and sky of a simulated home', () => {
  it('change by the hour, and are the same whoever asks, and in whatever order', () => {
    const site = homeOf(
      'grid: { zone: DE-LU, intensity: { kind: synthetic, zone: DE-LU, seed: 3 }, tariff: { kind: synthetic, zone: DE-LU, currency: EUR } }\nweather: { kind: synthetic, climate: oceanic, seed: 9 }',
    );
    const moments = Array.from({ length: 300 }, (_, i) => START + i * 1.7 * HOUR);
    const figures = (around: ReturnType<typeof surroundingsOf>, order: readonly number[]) =>
      new Map(
        order.map((atMs) => [
          atMs,
          [around.intensityGPerKWh(atMs), around.pricePerKWh!(atMs), around.weatherAt(atMs)?.ghiWPerM2],
        ]),
      );
    const forwards = figures(surroundingsOf(site), moments);
    const backwards = figures(surroundingsOf(site), moments.toReversed());
    for (const atMs of moments) expect(backwards.get(atMs)).toEqual(forwards.get(atMs));
    const grams = [...forwards.values()].map(([g]) => g!);
    expect(Math.min(...grams)).toBeGreaterThanOrEqual(107);
    expect(Math.max(...grams)).toBeLessThanOrEqual(654);
    expect(Math.max(...grams) - Math.min(...grams)).toBeGreaterThan(100);
    expect([...forwards.values()].every((each) => each.every((value) => Number.isFinite(value)))).toBe(true);
  });

  it('are foreseen as they come, and say that they are synthetic', () => {
    const around = surroundingsOf(homeOf(SYNTHETIC));
    const { intensityGPerKWh, pricePerKWh } = around.ahead!(START + 0.4 * HOUR);
    expect(pricePerKWh).toBeUndefined();
    for (const [hour, g] of intensityGPerKWh!.values.entries())
      expect(g).toBe(around.intensityGPerKWh(START + hour * HOUR + 1));
    expect(around.averageAt(START)).toMatchObject({
      zone: 'DE-LU',
      origin: { quality: 'modelled', method: expect.stringContaining('synthetic DE-LU') },
    });
  });

  it('may have prices by the time of the wall', () => {
    const around = surroundingsOf(
      homeOf(
        'grid: { tariff: { kind: time-of-use, perKWh: 0.4, currency: EUR, periods: [{ from: "00:00", to: "06:00", perKWh: 0.1 }] } }',
      ),
    );
    const prices = [0, 3.9, 4, 12].map((hour) => around.pricePerKWh!(START + hour * HOUR));
    expect(prices).toEqual([0.1, 0.1, 0.4, 0.4]);
  });

  it.each([
    ['grid: { intensity: { kind: synthetic, zone: MARS } }', /there is no zone MARS\..*DE-LU/s],
    [
      'grid: { tariff: { kind: file, path: a.csv, unit: kWh, currency: EUR } }',
      /tariff of kind file; a simulated home has its own/,
    ],
  ])('that a simulated day cannot have are refused: %s', (more, message) => {
    expect(() => homeOf(more)).toThrow(message);
  });
});

it('books of any home under a changing grid: every source times its intensity of the moment, to the gram', () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 1_000 }),
    fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 60, maxLength: 60 }),
    (seed, draws) => {
      const site = homeOf(`grid: { zone: DE-LU, intensity: { kind: synthetic, zone: DE-LU, seed: ${seed} } }`);
      const around = surroundingsOf(site);
      const spans: HomeSpan[] = [];
      const home = new SimulatedHome(site, START, around, (span) => spans.push(span));
      const intervals: EnergyInterval[] = [];
      const books = new IntervalRecorder(home.battery, storedAt(0, 0), (record) => intervals.push(record));
      let expectedG = 0;
      let usedWh = 0;
      for (const [i, powerW] of draws.entries()) home.advance(START + (i + 1) * 17 * 60_000, powerW);
      for (const { fromMs, toMs, flows } of spans) {
        const average = around.averageAt(fromMs);
        const origin = { quality: 'modelled', method: 'test' } as const;
        books.add(
          fromMs,
          toMs,
          { actual: flows, shadow: flows, sources: sourcesOf(flows) },
          { part: 'island', name: 'a', tokens: null, energyOrigin: origin, splitOrigin: origin, average },
        );
        usedWh += flows.pvToComputeWh + flows.gridToComputeWh;
        expectedG += (flows.pvToComputeWh * 41 + flows.gridToComputeWh * average.gPerKWh) / 1000;
      }
      books.flush();
      const report = reportOf(intervals);
      expect(report.totalWh).toBeCloseTo(usedWh, 6);
      expect(report.totalG).toBeCloseTo(expectedG, 6);
      // A factor that changes ends a record.
      const factors = spans.map(({ fromMs }) => around.averageAt(fromMs).gPerKWh);
      expect(new Set(intervals.map(({ average }) => average.gPerKWh))).toEqual(new Set(factors));
    },
  );
  fc.assert(property, { numRuns: 15 });
});
