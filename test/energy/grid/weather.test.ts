import { describe, expect, it } from 'vitest';
import { CLIMATES, type Climate, syntheticSky, weatherUnder } from '../../../src/energy/grid/index.ts';
import { HOUR_MS } from '../../../src/energy/series.ts';

const FROM = Date.UTC(2025, 0, 1);
const TO = Date.UTC(2026, 0, 1);
const FREIBURG = { latitudeDeg: 48, longitudeDeg: 7.85, altitudeM: 278 };
const SYDNEY = { latitudeDeg: -33.9, longitudeDeg: 151.2, altitudeM: 20 };
const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

describe('a synthetic sky', () => {
  it.each(Object.keys(CLIMATES) as Climate[])('%s lets through what its climate says', (climate) => {
    const skies = [1, 2, 3].map((seed) => syntheticSky(FREIBURG, { climate, seed }, FROM, TO));
    const factor = mean(skies.map((sky) => mean(sky.cloudFactor.values)));
    expect(Math.abs(factor - CLIMATES[climate].cloudFactor)).toBeLessThan(0.02);
    expect(Math.abs(mean(skies.map((s) => mean(s.windMPerS.values))) / CLIMATES[climate].windMPerS - 1)).toBeLessThan(
      0.05,
    );
  });

  it('has its summer in July in the north and in January in the south', () => {
    const monthOf = (place: typeof FREIBURG, month: number) =>
      mean(
        syntheticSky(place, { climate: 'oceanic', seed: 1 }, Date.UTC(2025, month, 1), Date.UTC(2025, month, 30)).airC
          .values,
      );
    expect(monthOf(FREIBURG, 6)).toBeGreaterThan(monthOf(FREIBURG, 0) + 8);
    expect(monthOf(SYDNEY, 0)).toBeGreaterThan(monthOf(SYDNEY, 6) + 5);
  });

  it('is the same for whoever asks, and another over another place', () => {
    const year = syntheticSky(FREIBURG, { climate: 'continental', seed: 4 }, FROM, TO);
    const hour = syntheticSky(FREIBURG, { climate: 'continental', seed: 4 }, FROM + 99 * HOUR_MS, FROM + 100 * HOUR_MS);
    expect(hour.cloudFactor.values[0]).toBe(year.cloudFactor.values[99]);
    const other = syntheticSky(SYDNEY, { climate: 'continental', seed: 4 }, FROM, TO);
    expect(other.cloudFactor.values[99]).not.toBe(year.cloudFactor.values[99]);
  });

  it('gives weather that panels take, dark at night, and none where it is not known', () => {
    const sky = syntheticSky(FREIBURG, { climate: 'oceanic', seed: 2 }, FROM, TO);
    expect(weatherUnder(sky, FREIBURG, Date.UTC(2025, 5, 21, 0))!.ghiWPerM2).toBe(0);
    expect(weatherUnder(sky, FREIBURG, Date.UTC(2025, 5, 21, 11))!.ghiWPerM2).toBeGreaterThan(50);
    expect(weatherUnder(sky, FREIBURG, TO + HOUR_MS)).toBeUndefined();
  });
});
