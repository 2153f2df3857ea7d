import type { Origin } from '../figure.ts';
import { isWithin, localTime } from '../policy/local-time.ts';
import type { Hours } from '../policy/policy-schema.ts';
import { resampled, type Series, valueAt } from '../series.ts';

/** What a kWh from the grid costs, by the hour. */
export type Tariff =
  | { readonly kind: 'constant'; readonly perKWh: number }
  | {
      readonly kind: 'time-of-use';
      /** IANA name; its days of 23 and 25 hours are kept. */
      readonly timeZone: string;
      /** Outside of all periods. */
      readonly perKWh: number;
      /** The first that holds decides. */
      readonly periods: readonly (Hours & { readonly perKWh: number })[];
    }
  | { readonly kind: 'series'; readonly perKWh: Series };

/** Every zone's clock differs from UTC by whole quarters of an hour. */
const QUARTER_MS = 15 * 60_000;

/** NaN where a series has nothing. */
export function pricePerKWhAt(tariff: Tariff, atMs: number): number {
  switch (tariff.kind) {
    case 'constant':
      return tariff.perKWh;
    case 'time-of-use': {
      const local = localTime(atMs, tariff.timeZone);
      return (tariff.periods.find((period) => isWithin(period, local)) ?? tariff).perKWh;
    }
    case 'series':
      return valueAt(tariff.perKWh, atMs);
  }
}

/** Prices by the quarter of an hour, from that of `fromMs` to that which ends at or after `toMs`. */
export function priceSeries(tariff: Tariff, fromMs: number, toMs: number, origin: Origin): Series {
  const startMs = Math.floor(fromMs / QUARTER_MS) * QUARTER_MS;
  const count = Math.max(0, Math.ceil((toMs - startMs) / QUARTER_MS));
  if (tariff.kind === 'series') return resampled(tariff.perKWh, startMs, QUARTER_MS, count);
  const values = new Float64Array(count);
  // A price that begins within a quarter (18:10) holds from the next one on.
  for (let i = 0; i < count; i++) values[i] = pricePerKWhAt(tariff, startMs + i * QUARTER_MS);
  return { startMs, stepMs: QUARTER_MS, values, origin };
}
