import type { Origin } from '../figure.ts';
import type { Series } from '../series.ts';

/** Values with their beginnings, as services and files give them: in any order, with gaps. */
export interface Points {
  readonly stepMs: number;
  readonly points: readonly (readonly [startMs: number, value: number])[];
  /** What whoever reads them should know of them. */
  readonly remark?: string;
}

export interface Bounds {
  readonly least: number;
  readonly most: number;
}

/** Intensity has no negative values; more than this no grid has. */
export const INTENSITY: Bounds = { least: 0, most: 5_000 };
/** Prices do fall below zero. */
export const PRICE: Bounds = { least: -10, most: 100 };

const MOST_VALUES = 200_000;

/**
 * On a grid of time from `fromMs` to `toMs`, whose steps begin where those of the points do: not every zone's hours begin at a whole hour
 * UTC. A gap stays one; a value out of bounds is one, and is counted; of two for the same time the
 * later one holds.
 */
export function seriesFrom(
  { stepMs, points, remark }: Points,
  { least, most }: Bounds,
  fromMs: number,
  toMs: number,
  origin: Origin,
): Series {
  const phaseMs = (points[0]?.[0] ?? 0) % stepMs;
  const startMs = Math.floor((fromMs - phaseMs) / stepMs) * stepMs + phaseMs;
  const count = Math.min(MOST_VALUES, Math.max(0, Math.ceil((toMs - startMs) / stepMs)));
  const values = new Float64Array(count).fill(Number.NaN);
  let refused = 0;
  for (const [atMs, value] of points) {
    const i = Math.floor((atMs - startMs) / stepMs);
    if (i < 0 || i >= count) continue;
    if (value >= least && value <= most) values[i] = value;
    else refused++;
  }
  const remarks = [remark ?? [], refused === 0 ? [] : `${refused} impossible values left out`].flat();
  const method = [origin.method, ...remarks].join('; ');
  return { startMs, stepMs, values, origin: { ...origin, method } };
}
