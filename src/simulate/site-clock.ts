import { HelioError } from '../errors.ts';

/** The clock of simulated homes: it began at a moment of real time, and is so much faster. All processes of a run share it. */
export interface SiteClock {
  readonly realStartMs: number;
  readonly siteStartMs: number;
  readonly speed: number;
}

const MOST_SPEED = 100_000;

/** @throws HelioError HELIO-1006 for a speed that is none */
export function parseSpeed(text: string): number {
  const speed = Number(/^(\d+(?:\.\d+)?)x?$/.exec(text)?.[1] ?? Number.NaN);
  if (!(speed >= 1 && speed <= MOST_SPEED))
    throw new HelioError(
      'HELIO-1006',
      `--speed ${text} is no speed of a clock.`,
      `Give how many times faster than real, 1 to ${MOST_SPEED}: 1440x lets a day pass in a minute.`,
    );
  return speed;
}

export const siteMs = ({ realStartMs, siteStartMs, speed }: SiteClock, realMs: number): number =>
  siteStartMs + Math.max(0, realMs - realStartMs) * speed;

export const writeClock = ({ realStartMs, siteStartMs, speed }: SiteClock): string =>
  `${realStartMs}:${siteStartMs}:${speed}`;

/** @throws HelioError HELIO-1006 */
export function readClock(text: string): SiteClock {
  const [realStartMs, siteStartMs, speed] = text.split(':').map(Number);
  if (![realStartMs, siteStartMs, speed].every((value) => Number.isFinite(value)) || speed! < 1)
    throw new HelioError('HELIO-1006', `--site-clock ${text} is no clock.`, '`heliotrope train --homes` makes one.');
  return { realStartMs: realStartMs!, siteStartMs: siteStartMs!, speed: speed! };
}
