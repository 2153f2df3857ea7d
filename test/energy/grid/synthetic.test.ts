import { describe, expect, it } from 'vitest';
import { FORECAST_ERRORS, forecastFrom, syntheticGrid, ZONES, zoneOf } from '../../../src/energy/grid/index.ts';
import { HOUR_MS } from '../../../src/energy/series.ts';

const FROM = Date.UTC(2024, 0, 1);
const TO = Date.UTC(2025, 0, 1);
const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

describe('a synthetic grid zone', () => {
  it.each(ZONES.map((zone) => [zone.name, zone] as const))('%s has mean, swing and range of its 2024', (_, zone) => {
    const means: number[] = [];
    const swings: number[] = [];
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { values } = syntheticGrid(zone, seed, FROM, TO).averageG;
      means.push(mean(values));
      for (let d = 0; d + 24 <= values.length; d += 24) {
        const day = values.subarray(d, d + 24);
        swings.push(Math.max(...day) - Math.min(...day));
      }
      expect(Math.min(...values)).toBeGreaterThanOrEqual(zone.leastG);
      expect(Math.max(...values)).toBeLessThanOrEqual(zone.mostG);
    }
    // Weeks of wind make years differ: the mean of six is compared.
    expect(Math.abs(mean(means) / zone.meanG - 1)).toBeLessThan(0.05);
    expect(Math.abs(mean(swings) / zone.dailySwingG - 1)).toBeLessThan(0.15);
  });

  it('gives an hour the same value whichever hours are asked for', () => {
    const zone = zoneOf('DE')!;
    const year = syntheticGrid(zone, 7, FROM, TO).averageG.values;
    const from = 5000;
    const day = syntheticGrid(zone, 7, FROM + from * HOUR_MS, FROM + (from + 24) * HOUR_MS).averageG.values;
    expect([...day]).toEqual([...year.subarray(from, from + 24)]);
  });

  it('differs by zone and by seed', () => {
    const of = (name: string, seed: number) => syntheticGrid(zoneOf(name)!, seed, FROM, TO).averageG.values;
    const relative = (name: string, seed: number) => {
      const values = of(name, seed);
      const meanG = mean(values);
      return values.map((g) => g / meanG);
    };
    expect(of('GB', 1)).not.toEqual(of('GB', 2));
    expect(relative('US-NY-NYIS', 1)).not.toEqual(relative('US-MIDA-PJM', 1));
  });

  it('keeps marginal intensity apart, and says that both are not measured', () => {
    const { averageG, marginalG } = syntheticGrid(zoneOf('GB')!, 1, FROM, TO);
    expect(averageG.origin.quality).toBe('modelled');
    expect(marginalG.origin.quality).toBe('assumed');
    expect(mean(marginalG.values)).toBeGreaterThan(mean(averageG.values));
  });

  it('knows no zone by a neighbour’s name', () => {
    expect(zoneOf('FR')).toBeUndefined();
  });
});

describe('a forecast of it', () => {
  const truth = syntheticGrid(zoneOf('GB')!, 3, FROM, TO).averageG;
  const forecasts = Array.from({ length: 360 }, (_, day) =>
    forecastFrom(truth, { issuedMs: FROM + day * 24 * HOUR_MS, hours: 24, error: FORECAST_ERRORS.intensity, seed: 5 }),
  );
  const at = (i: number) =>
    forecasts.map(({ low, mid, high }) => {
      const index = Math.round((mid.startMs - truth.startMs) / HOUR_MS) + i;
      return { low: low.values[i]!, mid: mid.values[i]!, high: high.values[i]!, truth: truth.values[index]! };
    });
  const share = (i: number) =>
    at(i).reduce((sum, f) => sum + Math.abs(f.mid - f.truth), 0) / at(i).reduce((sum, f) => sum + f.truth, 0);

  it('is as wrong as measured in its first hour, and as assumed a day ahead', () => {
    expect(share(0)).toBeCloseTo(0.106, 1);
    expect(Math.abs(share(0) / 0.106 - 1)).toBeLessThan(0.15);
    expect(Math.abs(share(23) / (0.225 * Math.sqrt(2 / Math.PI)) - 1)).toBeLessThan(0.15);
  });

  it('holds four of five truths in its band', () => {
    const all = [0, 6, 12, 23].flatMap(at);
    const within = all.filter((f) => f.low <= f.truth && f.truth <= f.high).length / all.length;
    expect(within).toBeGreaterThan(0.75);
    expect(within).toBeLessThan(0.85);
  });
});
