import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gapShare, meanOver, resampled, seriesOf, valueAt } from '../../src/energy/series.ts';

const origin = { quality: 'assumed', method: 'a test' } as const;
const hours = (...values: number[]) => seriesOf(0, 10, values, origin);

test('a value holds for its whole step, and nothing is known before the first and after the last', () => {
  const series = hours(1, 2);
  expect([
    valueAt(series, -1),
    valueAt(series, 0),
    valueAt(series, 9),
    valueAt(series, 10),
    valueAt(series, 20),
  ]).toEqual([Number.NaN, 1, 1, 2, Number.NaN]);
});

test('a mean is weighted by time and leaves gaps out', () => {
  expect(meanOver(hours(1, 4), 5, 20)).toBeCloseTo((1 * 5 + 4 * 10) / 15);
  expect(meanOver(hours(1, Number.NaN, 4), 0, 30)).toBeCloseTo(2.5);
  expect(meanOver(hours(Number.NaN), 0, 10)).toBeNaN();
  expect(meanOver(hours(1), 100, 200)).toBeNaN();
});

test('a series on another grid has the same integral', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e4, noNaN: true }), { minLength: 6, maxLength: 60 }), (values) => {
      const length = values.length - (values.length % 6);
      const series = hours(...values.slice(0, length));
      const coarse = resampled(series, 0, 60, length / 6);
      const fine = resampled(series, 0, 5, 2 * length);
      const integral = (of: Float64Array, step: number) => of.reduce((sum, value) => sum + value * step, 0);
      const wanted = integral(series.values, 10);
      expect(integral(coarse.values, 60)).toBeCloseTo(wanted, 3);
      expect(integral(fine.values, 5)).toBeCloseTo(wanted, 3);
    }),
  );
});

test('a gap is a gap', () => {
  expect(gapShare(hours(1, Number.NaN, 3, Number.NaN))).toBe(0.5);
  expect(gapShare(hours())).toBe(1);
});
