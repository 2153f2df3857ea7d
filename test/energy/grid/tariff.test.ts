import { describe, expect, it } from 'vitest';
import { pricePerKWhAt, priceSeries, type Tariff } from '../../../src/energy/grid/index.ts';
import { HOUR_MS, seriesOf } from '../../../src/energy/series.ts';

const ORIGIN = { quality: 'assumed', method: 'typed' } as const;
const NIGHT: Tariff = {
  kind: 'time-of-use',
  timeZone: 'Europe/Berlin',
  perKWh: 0.4,
  periods: [
    { from: '00:00', to: '06:00', perKWh: 0.2 },
    { days: ['sat', 'sun'], from: '06:00', to: '00:00', perKWh: 0.3 },
  ],
};

describe('a tariff by the time of use', () => {
  it('goes by weekday and hour on the wall', () => {
    expect(pricePerKWhAt(NIGHT, Date.parse('2025-07-02T12:00+02:00'))).toBe(0.4);
    expect(pricePerKWhAt(NIGHT, Date.parse('2025-07-02T05:59+02:00'))).toBe(0.2);
    expect(pricePerKWhAt(NIGHT, Date.parse('2025-07-05T12:00+02:00'))).toBe(0.3);
  });

  it.each([
    ['spring, 23 h', '2025-03-30T00:00+01:00', '2025-03-31T00:00+02:00', 92, 20],
    ['autumn, 25 h', '2025-10-26T00:00+02:00', '2025-10-27T00:00+01:00', 100, 28],
    ['summer, 24 h', '2025-07-06T00:00+02:00', '2025-07-07T00:00+02:00', 96, 24],
  ])('is cheap until six by the wall clock: %s', (_, from, to, quarters, cheap) => {
    const { values } = priceSeries(NIGHT, Date.parse(from), Date.parse(to), ORIGIN);
    expect(values).toHaveLength(quarters);
    expect(values.filter((price) => price === 0.2)).toHaveLength(cheap);
  });
});

it('a series of prices has gaps that are not 0', () => {
  const series: Tariff = { kind: 'series', perKWh: seriesOf(0, HOUR_MS, [0.1, Number.NaN], ORIGIN) };
  expect(pricePerKWhAt(series, HOUR_MS / 2)).toBe(0.1);
  expect(pricePerKWhAt(series, 1.5 * HOUR_MS)).toBeNaN();
  expect(pricePerKWhAt(series, 9 * HOUR_MS)).toBeNaN();
});
