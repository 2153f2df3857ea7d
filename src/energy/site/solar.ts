import type { Origin } from '../figure.ts';
import { type Band, HOUR_MS, type Series } from '../series.ts';
import {
  clearSkyWeather,
  plantPower,
  type SolarPlant,
  type SolarSystem,
  solarPlant,
  type Weather,
} from '../sun/index.ts';
import type { Site } from './site-schema.ts';

/** What a site's panels should give, by its sun and the weather that is known. */

/** Inverters are built this much smaller than the panels, as a rule (PVWatts' DC to AC ratio). */
const DC_TO_AC = 1.2;
/** A panel on a balcony has one as large as itself. */
const LEAST_INVERTER_W = 50;

/** @returns undefined for a site without panels */
export function solarSystemOf({ solar }: Site): SolarSystem | undefined {
  if (solar === undefined) return undefined;
  const peakW = solar.arrays.reduce((sum, array) => sum + array.peakW, 0);
  const { arrays, inverterW = Math.max(LEAST_INVERTER_W, peakW / DC_TO_AC), lossPercent, exportLimitW } = solar;
  return {
    arrays: arrays.map(({ module, horizonDeg, ...array }) => ({
      ...array,
      ...(module === undefined ? {} : { module }),
      ...(horizonDeg === undefined ? {} : { horizonDeg }),
    })),
    inverterW,
    ...(lossPercent === undefined ? {} : { lossPercent }),
    ...(exportLimitW === undefined ? {} : { exportLimitW }),
  };
}

/** Weather at a moment; undefined where nobody knows it. */
export type WeatherAt = (atMs: number) => Weather | undefined;

const AIR_C = 15;
const WIND_M_PER_S = 2;

/** A clear sky with a share of clouds. */
export function assumedWeather({ location }: Site, cloudFactor: number): WeatherAt {
  return (atMs) => clearSkyWeather(location, atMs, AIR_C, WIND_M_PER_S, cloudFactor);
}

export const plantOf = (site: Site): SolarPlant | undefined => {
  const system = solarSystemOf(site);
  return system === undefined ? undefined : solarPlant(site.location, system);
};

/** @returns AC power, W; undefined where there is no weather */
export function modelledPvW(plant: SolarPlant, weatherAt: WeatherAt, atMs: number): number | undefined {
  const weather = weatherAt(atMs);
  return weather === undefined ? undefined : plantPower(plant, atMs, weather).acW;
}

/** Of the error of a forecast of the sun a day ahead: an assumption, as no file of ours has it. */
const DAY_AHEAD_ERROR = 0.25;
/** Within which four of five outcomes fall, of a normal error. */
const NORMAL_90 = 1.2816;

/**
 * The next hours of sun, in quarters of an hour, with a band that grows with the distance.
 *
 * @param origin where the weather comes from
 */
export function pvForecast(
  plant: SolarPlant,
  weatherAt: WeatherAt,
  fromMs: number,
  hours: number,
  origin: Origin,
): Band {
  const stepMs = HOUR_MS / 4;
  const startMs = Math.floor(fromMs / stepMs) * stepMs;
  const mid = new Float64Array(Math.ceil((hours * HOUR_MS) / stepMs));
  for (let i = 0; i < mid.length; i++)
    mid[i] = modelledPvW(plant, weatherAt, startMs + (i + 0.5) * stepMs) ?? Number.NaN;
  const band = (sign: 1 | -1): Series => ({
    startMs,
    stepMs,
    origin,
    values: mid.map((w, i) => Math.max(0, w * (1 + sign * NORMAL_90 * errorAfter(i / 4)))),
  });
  return { low: band(-1), mid: { startMs, stepMs, origin, values: mid }, high: band(1) };
}

/** Relative error of a forecast so many hours ahead: 10 % at once, as measured (research: Solcast, ten cities), a quarter from six hours on. */
const errorAfter = (hours: number): number => 0.1 + (DAY_AHEAD_ERROR - 0.1) * Math.min(1, hours / 6);
