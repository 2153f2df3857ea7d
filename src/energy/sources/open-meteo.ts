import { z } from 'zod';
import { HOUR_MS } from '../series.ts';
import type { Place, Weather } from '../sun/index.ts';
import { fetchJson, NoAnswer } from './answer.ts';
import { Feed, type SourceDeps } from './feed.ts';
import { shaped } from './services.ts';

const column = z.array(z.number().nullable()).max(2_000);
const schema = z.object({
  hourly: z.object({
    time: z.array(z.int()).max(2_000),
    shortwave_radiation: column,
    direct_normal_irradiance: column,
    diffuse_radiation: column,
    temperature_2m: column,
    wind_speed_10m: column,
  }),
});

export interface HourlyWeather {
  /** Unix ms of the beginning of an hour to its weather; hours with a gap are not in it. */
  readonly hours: ReadonlyMap<number, Weather>;
  /** Hours whose irradiance was below 0, and was taken as 0. */
  readonly clamped: number;
}

const NAME = 'Open-Meteo';
const MOST_W_PER_M2 = 1_500;

/** Hourly weather of a place: yesterday, today and three days ahead. */
export function openMeteoFeed(baseUrl: string, place: Place, deps: SourceDeps): Feed<HourlyWeather> {
  const url = new URL('/v1/forecast', baseUrl);
  const query = {
    latitude: String(place.latitudeDeg),
    longitude: String(place.longitudeDeg),
    hourly: 'shortwave_radiation,direct_normal_irradiance,diffuse_radiation,temperature_2m,wind_speed_10m',
    wind_speed_unit: 'ms',
    timeformat: 'unixtime',
    timezone: 'GMT',
    past_days: '1',
    forecast_days: '4',
  };
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  return new Feed(
    {
      name: 'open-meteo',
      about: url.href,
      async ask(fromMs) {
        const answer = await fetchJson(NAME, url, { timeoutMs: deps.timeoutMs ?? 10_000, nowMs: deps.nowMs });
        const { hours } = parse(answer);
        if (![...hours.keys()].some((ms) => ms + HOUR_MS > fromMs))
          throw new NoAnswer('HELIO-6202', `${NAME}: its answer is stale.`, 'It is asked again later.');
        return answer;
      },
      parse,
    },
    deps,
  );
}

function parse(answer: unknown): HourlyWeather {
  const { hourly } = shaped(NAME, schema, answer);
  const hours = new Map<number, Weather>();
  let clamped = 0;
  for (const [i, endS] of hourly.time.entries()) {
    const [ghi, dni, dhi] = [hourly.shortwave_radiation, hourly.direct_normal_irradiance, hourly.diffuse_radiation].map(
      (values) => values[i] ?? Number.NaN,
    ) as [number, number, number];
    const airC = hourly.temperature_2m[i] ?? Number.NaN;
    const windMPerS = hourly.wind_speed_10m[i] ?? Number.NaN;
    if (!(Math.max(ghi, dni, dhi) <= MOST_W_PER_M2 && airC >= -90 && airC <= 60 && windMPerS >= 0 && windMPerS <= 120))
      continue;
    if (Math.min(ghi, dni, dhi) < 0) clamped++;
    // Radiation there is the mean of the hour that ends at its time.
    hours.set(endS * 1000 - HOUR_MS, {
      ghiWPerM2: Math.max(0, ghi),
      dniWPerM2: Math.max(0, dni),
      dhiWPerM2: Math.max(0, dhi),
      airC,
      windMPerS,
    });
  }
  return { hours, clamped };
}
