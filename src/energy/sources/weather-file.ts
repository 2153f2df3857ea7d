import { HelioError } from '../../errors.ts';
import type { WeatherConfig } from '../site/sources-schema.ts';
import { readTable } from './table-file.ts';
import { type WeatherTable, weatherTable } from './weather-table.ts';

/** What is assumed where a file has no such column. */
export const AIR_C = 15;
export const WIND_M_PER_S = 2;

/** A day without a cloud reaches hundreds; less than this at its brightest is no W/m². */
const LEAST_PEAK_W_PER_M2 = 2;
/** So many rows of sunlight before it is said. */
const LEAST_ROWS = 12;

/** @throws HelioError HELIO-6203 for a file that is wrong */
export function weatherFile(config: Extract<WeatherConfig, { kind: 'file' }>): WeatherTable {
  const { columns, path } = config;
  const named = Object.entries(columns).filter((entry): entry is [keyof typeof columns, string] => !!entry[1]);
  const table = readTable(
    config,
    named.map(([, column]) => column),
  );
  const rows = table.map(([startMs, ...values]) => {
    const row = new Map(named.map(([quantity], i) => [quantity, values[i]!]));
    const [dniWPerM2, dhiWPerM2] = [row.get('dniWPerM2'), row.get('dhiWPerM2')];
    return {
      startMs,
      ghiWPerM2: row.get('ghiWPerM2')!,
      ...(dniWPerM2 === undefined ? {} : { dniWPerM2 }),
      ...(dhiWPerM2 === undefined ? {} : { dhiWPerM2 }),
      airC: row.get('airC') ?? AIR_C,
      windMPerS: row.get('windMPerS') ?? WIND_M_PER_S,
    };
  });
  const bright = rows.filter(({ ghiWPerM2 }) => ghiWPerM2 > 0).map(({ ghiWPerM2 }) => ghiWPerM2);
  const peak = bright.reduce((most, value) => Math.max(most, value), 0);
  if (bright.length >= LEAST_ROWS && peak < LEAST_PEAK_W_PER_M2)
    throw new HelioError(
      'HELIO-6203',
      `${path}: the brightest of ${bright.length} rows with sun has ${peak} W/m².`,
      'If the file has kW/m², multiply its irradiance by 1000.',
    );
  const { remarks, ...read } = weatherTable(rows, config.stepMinutes * 60_000);
  const assumed = [
    columns.airC === undefined ? `air ${AIR_C} °C assumed` : [],
    columns.windMPerS === undefined ? `wind ${WIND_M_PER_S} m/s assumed` : [],
  ].flat();
  return { ...read, remarks: [...assumed, ...remarks] };
}
