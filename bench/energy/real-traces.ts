import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type RealTraces, YEAR_HOURS } from '../../src/energy/simulate/fleet.ts';
import { readCity } from '../../test/energy/home/citylearn.ts';

/** Real traces of `--data`: what a zone's grid emitted in 2024, and what fifteen homes drew. Undefined where the folder has neither. */
export function readRealTraces(folder: string): RealTraces | undefined {
  const grids = path.join(folder, 'electricitymaps/ci_2024_hourly_lifecycle_g_per_kwh.csv');
  const city = path.join(folder, 'citylearn2022');
  const has = [grids, city].filter((file) => existsSync(file));
  if (has.length === 0) {
    console.error(`No ${grids} and no ${city}: grids and households are synthetic.`);
    return undefined;
  }
  return {
    ...(existsSync(grids) ? { averageG: gridsOf(readTable(grids)) } : {}),
    ...(existsSync(city) ? { households: householdsOf(folder) } : {}),
  };
}

interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function readTable(file: string): Table {
  const [head, ...rows] = readFileSync(file, 'utf8')
    .trim()
    .split(/\r?\n/)
    .map((line) => line.split(','));
  return { head: head!, rows };
}

/** A gap is what was before it, as a grid is. */
function gridsOf({ head, rows }: Table): (zone: string) => Float64Array | undefined {
  return (zone) => {
    const column = head.indexOf(zone);
    if (column === -1) return undefined;
    let last = Number.NaN;
    const values = rows.slice(0, YEAR_HOURS).map((row) => {
      const value = Number.parseFloat(row[column] ?? '');
      if (!Number.isNaN(value)) last = value;
      return last;
    });
    const first = values.find((value) => !Number.isNaN(value)) ?? Number.NaN;
    return Float64Array.from(values, (value) => (Number.isNaN(value) ? first : value));
  };
}

/** The files begin with the last hour of July: turned so that January 1 comes first. */
function householdsOf(folder: string): readonly Float64Array[] {
  const { head, rows } = readTable(path.join(folder, 'citylearn2022/grid_weather.csv'));
  const january = rows.findIndex((row) => row[head.indexOf('month')] === '1');
  return readCity(folder).homes.map(({ loadW }) => loadW.map((_, i) => loadW[(i + january) % loadW.length]!));
}
