import { DAY_MS, type Place, RISE_ELEVATION_DEG, sunPosition } from './position.ts';
import { checkMoment, checkPlace } from './system.ts';

/** One day of the sun, from twelve hours before it stands highest to twelve hours after. */
export interface SunTimes {
  /** When its upper edge comes over a flat horizon; null when it does not that day. */
  readonly riseMs: number | null;
  /** When it stands highest. */
  readonly noonMs: number;
  readonly setMs: number | null;
  /** Where it neither rises nor sets. */
  readonly always: 'up' | 'down' | null;
}

/**
 * Sunrise, noon and sunset of the day whose solar noon is nearest. A day of the sun, not of a clock: it needs no time zone.
 *
 * @throws HelioError HELIO-1008 for a place or time that cannot be
 */
export function sunTimes(place: Place, atMs: number): SunTimes {
  checkPlace(place);
  checkMoment(atMs);
  let noonMs = atMs;
  for (let i = 0; i < 3; i++) noonMs -= (sunPosition(place, noonMs).hourAngleDeg / 360) * DAY_MS;
  noonMs = Math.round(noonMs);
  const isUp = (ms: number): boolean => 90 - sunPosition(place, ms).zenithDeg >= RISE_ELEVATION_DEG;
  const upAtNoon = isUp(noonMs);
  const crossing = (midnightMs: number): number | null =>
    isUp(midnightMs) === upAtNoon ? null : between(midnightMs, noonMs, isUp);
  const riseMs = upAtNoon ? crossing(noonMs - DAY_MS / 2) : null;
  const setMs = upAtNoon ? crossing(noonMs + DAY_MS / 2) : null;
  return { riseMs, noonMs, setMs, always: upAtNoon ? (riseMs === null && setMs === null ? 'up' : null) : 'down' };
}

/** Where it goes from down to up, by halving, to 50 ms. */
function between(downMs: number, upMs: number, isUp: (ms: number) => boolean): number {
  let [down, up] = [downMs, upMs];
  for (let i = 0; i < 20; i++) {
    const middle = (down + up) / 2;
    if (isUp(middle)) up = middle;
    else down = middle;
  }
  return Math.round(up);
}
