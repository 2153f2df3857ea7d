import { type ErrorCode, HelioError } from '../../errors.ts';

/** What a number from outside must be, in words for the person who typed it or whose meter said it. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** What to do, one sentence. */
  readonly remedy: string;
}

/** @throws HelioError unless `value` is a finite number within the bounds */
export function checkNumber(code: ErrorCode, name: string, value: unknown, { min, max, unit, remedy }: Bounds): void {
  if (typeof value === 'number' && value >= min && value <= max) return;
  throw new HelioError(code, `${name} is ${String(value)}, which is not from ${min} to ${max} ${unit}.`, remedy);
}

/** A rated power of less than this was meant in kW. */
const LEAST_W = 50;
const MOST_W = 1e9;

/** @throws HelioError unless `value` is a power that something with a solar panel can have; says so where kW was meant */
export function checkRatedPower(name: string, value: unknown, example: string): void {
  if (typeof value === 'number' && value > 0 && value < LEAST_W)
    throw new HelioError(
      'HELIO-1008',
      `${name} is ${value} W, less than the ${LEAST_W} W of the smallest solar system: kW was probably meant.`,
      `Write it in watts: ${value * 1000} for ${value} ${example}.`,
    );
  checkNumber('HELIO-1008', name, value, {
    min: LEAST_W,
    max: MOST_W,
    unit: 'W',
    remedy: 'Write it in watts, as its plate or data sheet says.',
  });
}
