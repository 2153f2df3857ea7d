import { type Band, HOUR_MS, type Series } from '../series.ts';
import { nearlyNormal } from './noise.ts';

/** Forecasts made from what really comes, as wrong as real ones are. */

/** Mean absolute error over the mean, by hours ahead; between two of them it grows in a line, beyond the last it stays. */
export interface ForecastError {
  readonly points: readonly (readonly [hoursAhead: number, meanAbsoluteShare: number])[];
  readonly source: string;
}

/** A normal error of deviation s has a mean absolute error of s × √(2/π). */
const MEAN_ABSOLUTE = Math.sqrt(2 / Math.PI);
/** What is assumed of a day ahead, where nobody measured: a deviation of 22.5 %. */
const DAY_AHEAD = 0.225 * MEAN_ABSOLUTE;

export const FORECAST_ERRORS = {
  /** Of 15-minute steps by daylight. */
  sun: {
    points: [
      [0.25, 0.105],
      [0.5, 0.138],
      [0.75, 0.152],
      [1, 0.164],
      [24, DAY_AHEAD],
    ],
    source: 'Solcast 2022, ten cities, to one hour; a day ahead assumed as 22.5 %',
  },
  intensity: {
    points: [
      [0.5, 0.106],
      [1, 0.133],
      [24, DAY_AHEAD],
    ],
    source: 'WattTime CAISO to one hour; a day ahead assumed as 22.5 %',
  },
} as const satisfies Record<string, ForecastError>;

export function meanAbsoluteShare({ points }: ForecastError, hoursAhead: number): number {
  const after = points.findIndex(([hours]) => hours >= hoursAhead);
  if (after === -1) return points.at(-1)![1];
  if (after === 0) return points[0]![1];
  const [h0, e0] = points[after - 1]!;
  const [h1, e1] = points[after]!;
  return e0 + ((e1 - e0) * (hoursAhead - h0)) / (h1 - h0);
}

/** Neighbouring hours are wrong in the same way. */
const MEMORY = 0.9;
/** 80 % of a normal distribution. */
const TENTH = 1.2816;
const LEAST = 0.1;

/**
 * What a forecast that is issued at a moment would have said of a truth, with the band in which four of five truths lie.
 *
 * The error is a share of the value: nothing is forecast where nothing comes, as at night.
 *
 * @param truth what comes; its gaps stay gaps
 * @param hours how far the forecast goes
 */
export function forecastFrom(
  truth: Series,
  { issuedMs, hours, error, seed }: { issuedMs: number; hours: number; error: ForecastError; seed: number },
): Band {
  const { stepMs } = truth;
  const first = Math.max(0, Math.floor((issuedMs - truth.startMs) / stepMs));
  const last = Math.min(truth.values.length, Math.ceil((issuedMs + hours * HOUR_MS - truth.startMs) / stepMs));
  const count = Math.max(0, last - first);
  const [low, mid, high] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  const memory = MEMORY ** (stepMs / HOUR_MS);
  const issue = Math.floor(issuedMs / stepMs);
  let wrong = nearlyNormal(seed, issue, -1);
  for (let i = 0; i < count; i++) {
    if (i > 0) wrong = memory * wrong + Math.sqrt(1 - memory * memory) * nearlyNormal(seed, issue, i);
    const aheadHours = (truth.startMs + (first + i + 0.5) * stepMs - issuedMs) / HOUR_MS;
    const deviation = meanAbsoluteShare(error, Math.max(0, aheadHours)) / MEAN_ABSOLUTE;
    const said = truth.values[first + i]! * Math.max(LEAST, 1 + deviation * wrong);
    mid[i] = said;
    low[i] = said / (1 + TENTH * deviation);
    high[i] = said / Math.max(LEAST, 1 - TENTH * deviation);
  }
  const series = (values: Float64Array): Series => ({
    startMs: truth.startMs + first * stepMs,
    stepMs,
    values,
    origin: {
      quality: 'modelled',
      method: `${truth.origin.method}, with the forecast error of ${error.source}`,
      vintage: new Date(issuedMs).toISOString(),
    },
  });
  return { low: series(low), mid: series(mid), high: series(high) };
}
