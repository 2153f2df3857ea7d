import { z } from 'zod';
import type { WeatherConfig } from '../site/sources-schema.ts';
import type { Place } from '../sun/index.ts';
import { fetchJson, NoAnswer, under } from './answer.ts';
import { Feed, type SourceDeps } from './feed.ts';
import { secret, shaped } from './services.ts';
import { type WeatherTable, weatherTable } from './weather-table.ts';

const UNITS = {
  shortwave_radiation: 'W/m²',
  direct_normal_irradiance: 'W/m²',
  diffuse_radiation: 'W/m²',
  temperature_2m: '°C',
  wind_speed_10m: 'm/s',
} as const;

const column = z.array(z.number().nullable()).max(2_000);
const steps = z.object({
  time: z.array(z.int()).max(2_000),
  shortwave_radiation: column,
  direct_normal_irradiance: column,
  diffuse_radiation: column,
  temperature_2m: column,
  wind_speed_10m: column,
});
const units = z.record(z.string().max(100), z.string().max(100)).optional();
const SCHEMAS = {
  15: z
    .object({ minutely_15: steps, minutely_15_units: units })
    .transform(({ minutely_15, minutely_15_units }) => ({ steps: minutely_15, units: minutely_15_units })),
  60: z
    .object({ hourly: steps, hourly_units: units })
    .transform(({ hourly, hourly_units }) => ({ steps: hourly, units: hourly_units })),
};

const NAME = 'Open-Meteo';

/** Weather of a place: yesterday, today and three days ahead. */
export function openMeteoFeed(
  { baseUrl, stepMinutes, token }: Extract<WeatherConfig, { kind: 'open-meteo' }>,
  place: Place,
  deps: SourceDeps,
): Feed<WeatherTable> {
  const url = under(baseUrl, '/v1/forecast');
  const query = {
    latitude: String(place.latitudeDeg),
    longitude: String(place.longitudeDeg),
    [stepMinutes === 15 ? 'minutely_15' : 'hourly']: Object.keys(UNITS).join(),
    wind_speed_unit: 'ms',
    timeformat: 'unixtime',
    timezone: 'GMT',
    past_days: '1',
    forecast_days: '4',
  };
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  const parse = (answer: unknown): WeatherTable => tableOf(answer, stepMinutes);
  return new Feed(
    {
      name: 'open-meteo',
      about: url.href,
      async ask(fromMs) {
        const asked = new URL(url);
        if (token !== undefined) asked.searchParams.set('apikey', secret(token, deps));
        const { timeoutMs = 10_000, nowMs } = deps;
        const answer = await fetchJson(NAME, asked, { timeoutMs, nowMs });
        parse(answer);
        const lastS = shaped(NAME, SCHEMAS[stepMinutes], answer).steps.time.at(-1) ?? 0;
        if (lastS * 1000 <= fromMs)
          throw new NoAnswer(
            'HELIO-6202',
            `${NAME}: its answer is stale: it ends at ${new Date(lastS * 1000).toISOString()}, and the clock here says ${new Date(nowMs()).toISOString()}.`,
            'If that clock is wrong, set it. The service is asked again later.',
          );
        return answer;
      },
      parse,
    },
    deps,
  );
}

function tableOf(answer: unknown, stepMinutes: 15 | 60): WeatherTable {
  const { steps, units } = shaped(NAME, SCHEMAS[stepMinutes], answer);
  for (const [name, wanted] of Object.entries(UNITS)) {
    const unit = units?.[name];
    if (unit === undefined || unit === wanted) continue;
    throw new NoAnswer(
      'HELIO-6202',
      `${NAME} answered with ${name} in ${unit}, and was asked for ${wanted}.`,
      'Check the base URL: the service there does not heed units.',
    );
  }
  const stepMs = stepMinutes * 60_000;
  const rows = steps.time.map((endS, i) => ({
    // Radiation there is the mean of the step that ends at its time.
    startMs: endS * 1000 - stepMs,
    ghiWPerM2: steps.shortwave_radiation[i] ?? Number.NaN,
    dniWPerM2: steps.direct_normal_irradiance[i] ?? Number.NaN,
    dhiWPerM2: steps.diffuse_radiation[i] ?? Number.NaN,
    airC: steps.temperature_2m[i] ?? Number.NaN,
    windMPerS: steps.wind_speed_10m[i] ?? Number.NaN,
  }));
  return weatherTable(rows, stepMs);
}
