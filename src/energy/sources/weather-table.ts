import type { Weather } from '../sun/index.ts';

/** Weather by the step, as a service or a file gives it. */
export interface WeatherTable {
  readonly stepMs: number;
  /** Unix ms of the beginning of a step to its weather; a step with a gap is not in it. */
  readonly steps: ReadonlyMap<number, Weather>;
  /** What was done to them, for whoever reads them. */
  readonly remarks: readonly string[];
}

export interface WeatherRow {
  readonly startMs: number;
  readonly ghiWPerM2: number;
  /** Left out where there is no such column: it is derived then. */
  readonly dniWPerM2?: number;
  readonly dhiWPerM2?: number;
  readonly airC: number;
  readonly windMPerS: number;
}

/** Above the atmosphere it is 1,412 at most; edges of clouds reflect some. */
const MOST_W_PER_M2 = 1_500;

/** Negative irradiance is 0 and counted; a row with a gap is one; a row with what cannot be is one, and is counted. */
export function weatherTable(rows: Iterable<WeatherRow>, stepMs: number): WeatherTable {
  const steps = new Map<number, Weather>();
  let clamped = 0;
  let refused = 0;
  for (const { startMs, airC, windMPerS, ...irradiance } of rows) {
    const sun = Object.values(irradiance);
    if ([airC, windMPerS, ...sun].some(Number.isNaN)) continue;
    if (Math.max(...sun) > MOST_W_PER_M2 || airC < -90 || airC > 60 || windMPerS < 0 || windMPerS > 120) {
      refused++;
      continue;
    }
    if (Math.min(...sun) < 0) clamped++;
    const { ghiWPerM2, dniWPerM2, dhiWPerM2 } = irradiance;
    steps.set(startMs, {
      ghiWPerM2: Math.max(0, ghiWPerM2),
      ...(dniWPerM2 === undefined ? {} : { dniWPerM2: Math.max(0, dniWPerM2) }),
      ...(dhiWPerM2 === undefined ? {} : { dhiWPerM2: Math.max(0, dhiWPerM2) }),
      airC,
      windMPerS,
    });
  }
  const remarks = [
    clamped === 0 ? [] : `${clamped} negative irradiances taken as 0`,
    refused === 0 ? [] : `${refused} impossible values left out`,
  ].flat();
  return { stepMs, steps, remarks };
}

/** Undefined where nobody knows it. */
export function weatherIn({ stepMs, steps }: WeatherTable, atMs: number): Weather | undefined {
  const [first] = steps.keys();
  const phaseMs = (first ?? 0) % stepMs;
  return steps.get(Math.floor((atMs - phaseMs) / stepMs) * stepMs + phaseMs);
}
