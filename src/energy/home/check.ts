import { HelioError } from '../../errors.ts';

/** What a number of a home must be, in words for the person who typed it or whose meter said it. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** What to do, one sentence. */
  readonly remedy: string;
}

/** Larger than any home; Infinity and NaN are beyond it. */
export const MOST_W = 1e9;
export const WATTS: Bounds = {
  min: 0,
  max: MOST_W,
  unit: 'W',
  remedy: 'Give watts, 0 or more; what no meter knows is left out, and never 0.',
};

/** @throws HelioError HELIO-1010 unless `value` is a number within the bounds */
export function checkNumber(name: string, value: unknown, { min, max, unit, remedy }: Bounds): void {
  if (typeof value === 'number' && value >= min && value <= max) return;
  throw new HelioError(
    'HELIO-1010',
    `${name} is ${String(value)}, which is not from ${min} to ${max} ${unit}.`,
    remedy,
  );
}
