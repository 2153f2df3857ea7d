import type { Origin } from '../figure.ts';
import { HOUR_MS, type Series } from '../series.ts';
import { clearSkyWeather, type Place, type Weather } from '../sun/index.ts';
import { noise, normalShare, seedOf } from './noise.ts';

/** Weather that nobody measured: clouds, air and wind over a place, seeded. Its parameters are plain assumptions, stated here. */

interface ClimateFigures {
  /** A year's mean of global irradiance over that of a clear sky. */
  readonly cloudFactor: number;
  /** Correlation of an hour's clouds with the next hour's. */
  readonly persistence: number;
  /** Added to the mean air of the latitude. */
  readonly warmerC: number;
  /** Multiplies the seasons of the latitude. */
  readonly seasons: number;
  /** Half of what lies between night and afternoon. */
  readonly dayC: number;
  readonly windMPerS: number;
}

export const CLIMATES = {
  arid: { cloudFactor: 0.9, persistence: 0.97, warmerC: 3, seasons: 1, dayC: 7, windMPerS: 3.5 },
  mediterranean: { cloudFactor: 0.82, persistence: 0.96, warmerC: 1, seasons: 0.8, dayC: 5, windMPerS: 3 },
  continental: { cloudFactor: 0.7, persistence: 0.95, warmerC: 0, seasons: 1.2, dayC: 5, windMPerS: 3 },
  oceanic: { cloudFactor: 0.62, persistence: 0.94, warmerC: 3, seasons: 0.7, dayC: 3, windMPerS: 4 },
  tropical: { cloudFactor: 0.7, persistence: 0.85, warmerC: 0, seasons: 0.6, dayC: 4, windMPerS: 2.5 },
} as const satisfies Record<string, ClimateFigures>;
export type Climate = keyof typeof CLIMATES;

/** What comes through the thickest cloud. */
const DARKEST = 0.12;
const DAY_HOURS = 24;
const YEAR_HOURS = 8766;
/** The warmest time: the end of July in the north, by the hour after two by the sun. */
const WARMEST_DAY = 205;
const WARMEST_HOUR = 14.5;

export interface SkyOptions {
  readonly climate: Climate;
  readonly seed: number;
}

/** Hourly, without the sun itself: put a moment's figures into clearSkyWeather(). */
export interface Sky {
  /** Global irradiance over that of a clear sky, 0.12 to 1. */
  readonly cloudFactor: Series;
  readonly airC: Series;
  readonly windMPerS: Series;
}

/**
 * Clouds, air and wind over a place. Two that ask for the same place and seed have the same sky, whichever hours they ask for.
 *
 * @returns hourly, from the hour of `fromMs` to that which ends at or after `toMs`
 */
export function syntheticSky(place: Place, { climate, seed }: SkyOptions, fromMs: number, toMs: number): Sky {
  const figures: ClimateFigures = CLIMATES[climate];
  const firstHour = Math.floor(fromMs / HOUR_MS);
  const hours = Math.max(0, Math.ceil(toMs / HOUR_MS) - firstHour);
  const own = seedOf(`${place.latitudeDeg.toFixed(3)} ${place.longitudeDeg.toFixed(3)}`, seed);
  const clouds = noise(own, 1, figures.persistence, firstHour, hours);
  const warmth = noise(own, 2, 0.985, firstHour, hours);
  const gusts = noise(own, 3, 0.9, firstHour, hours);

  // A share u^p has the mean 1/(p+1): p is such that the mean comes out as stated.
  const power = (1 - DARKEST) / (1 - figures.cloudFactor) - 1;
  const latitude = Math.abs(place.latitudeDeg);
  const meanC = 27.5 - 0.0085 * latitude * latitude + figures.warmerC - 0.0065 * place.altitudeM;
  const seasonC = 0.2 * latitude * figures.seasons * (place.latitudeDeg < 0 ? -1 : 1);
  for (let i = 0; i < hours; i++) {
    const middle = firstHour + i + 0.5;
    const factor = 1 - (1 - DARKEST) * normalShare(clouds[i]!) ** power;
    const season = Math.cos((2 * Math.PI * (middle - WARMEST_DAY * DAY_HOURS)) / YEAR_HOURS);
    const day = Math.cos((2 * Math.PI * (middle + place.longitudeDeg / 15 - WARMEST_HOUR)) / DAY_HOURS);
    clouds[i] = factor;
    // Clouds keep the day's warmth out and the night's in.
    warmth[i] = meanC + seasonC * season + figures.dayC * day * (0.4 + 0.6 * factor) + 3 * warmth[i]!;
    // Rayleigh's distribution, of the stated mean.
    const calm = Math.max(1e-9, 1 - normalShare(gusts[i]!));
    gusts[i] = figures.windMPerS * (2 / Math.sqrt(Math.PI)) * Math.sqrt(-Math.log(calm));
  }
  const origin: Origin = { quality: 'modelled', method: `synthetic ${climate} weather, seed ${seed}` };
  const series = (values: Float64Array): Series => ({
    startMs: firstHour * HOUR_MS,
    stepMs: HOUR_MS,
    values,
    origin,
  });
  return { cloudFactor: series(clouds), airC: series(warmth), windMPerS: series(gusts) };
}

/** The weather of a moment under such a sky; undefined where the sky is not known. */
export function weatherUnder(sky: Sky, place: Place, atMs: number): Weather | undefined {
  const { startMs, stepMs } = sky.cloudFactor;
  const i = Math.floor((atMs - startMs) / stepMs);
  const factor = sky.cloudFactor.values[i];
  if (factor === undefined || Number.isNaN(factor)) return undefined;
  return clearSkyWeather(place, atMs, sky.airC.values[i]!, sky.windMPerS.values[i]!, factor);
}
