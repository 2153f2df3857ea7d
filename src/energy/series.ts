import type { Origin } from './figure.ts';

/**
 * A quantity over time: `values[i]` is its mean over `[startMs + i × stepMs, startMs + (i + 1) × stepMs)`, in the unit that the name of the
 * field says which holds it. NaN where nothing is known: a gap is never 0.
 */
export interface Series {
  /** Unix time, ms. */
  readonly startMs: number;
  /** > 0. */
  readonly stepMs: number;
  readonly values: Float64Array;
  readonly origin: Origin;
}

/** A forecast: most likely value, and the band in which four of five outcomes fall (10th and 90th percentile). */
export interface Band {
  readonly low: Series;
  readonly mid: Series;
  readonly high: Series;
}

export const HOUR_MS = 3_600_000;

export const seriesOf = (startMs: number, stepMs: number, values: Iterable<number>, origin: Origin): Series => ({
  startMs,
  stepMs,
  values: Float64Array.from(values),
  origin,
});

export const endMsOf = ({ startMs, stepMs, values }: Series): number => startMs + stepMs * values.length;

/** NaN outside of the series, and in its gaps. */
export function valueAt({ startMs, stepMs, values }: Series, atMs: number): number {
  return values[Math.floor((atMs - startMs) / stepMs)] ?? Number.NaN;
}

/**
 * Mean over `[fromMs, toMs)`, weighted by time, over what is known of it.
 *
 * @returns NaN when nothing of it is known, or it is empty
 */
export function meanOver(series: Series, fromMs: number, toMs: number): number {
  const { startMs, stepMs, values } = series;
  const first = Math.max(0, Math.floor((fromMs - startMs) / stepMs));
  const last = Math.min(values.length - 1, Math.ceil((toMs - startMs) / stepMs) - 1);
  let sum = 0;
  let knownMs = 0;
  for (let i = first; i <= last; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) continue;
    const beginMs = Math.max(fromMs, startMs + i * stepMs);
    const overlapMs = Math.min(toMs, startMs + (i + 1) * stepMs) - beginMs;
    sum += value * overlapMs;
    knownMs += overlapMs;
  }
  return knownMs > 0 ? sum / knownMs : Number.NaN;
}

/** The same quantity on another grid of time; see {@link meanOver}. */
export function resampled(series: Series, startMs: number, stepMs: number, length: number): Series {
  const values = new Float64Array(length);
  for (let i = 0; i < length; i++) values[i] = meanOver(series, startMs + i * stepMs, startMs + (i + 1) * stepMs);
  return { startMs, stepMs, values, origin: series.origin };
}

/** Share of the values that are gaps. */
export function gapShare({ values }: Series): number {
  let gaps = 0;
  for (const value of values) if (Number.isNaN(value)) gaps++;
  return values.length === 0 ? 1 : gaps / values.length;
}
