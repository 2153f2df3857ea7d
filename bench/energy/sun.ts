import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { HOUR_MS } from '../../src/energy/series.ts';
import { clearSkyWeather, plantPower, solarPlant, sunPosition, sunTimes } from '../../src/energy/sun/index.ts';
import { DENVER, readHours, SYSTEM, scoresOf } from '../../test/energy/sun/pvwatts.ts';
import { angleBetweenDeg, readThinnedYear, reference } from '../../test/energy/sun/reference.ts';
import { type Figure, median } from '../figures.ts';
import type { Options, Section } from './section.ts';

/** How near sun and panels are to NREL's SPA, to ERFA and to PVWatts, and what a moment costs. */
export const sun: Section = {
  id: 'sun',
  figures: async (options) => [...positions(), ...besidePvwatts(options), cost()],
};

const figure = (id: string, value: number, unit: string, note: string, most?: number): Figure => ({
  id: `energy.sun.${id}`,
  value,
  unit,
  target: most === undefined ? null : `within ${most} ${unit}`,
  met: most === undefined ? null : Math.abs(value) < most,
  note,
});

function positions(): readonly Figure[] {
  const found = reference.positions.map((golden) => ({ golden, sun: sunPosition(golden, Date.parse(golden.at)) }));
  const worst = (of: (each: (typeof found)[number]) => number): number => Math.max(...found.map(of));
  const places = `worst of ${found.length} places and moments, poles and equator, 1990 to 2060`;
  const times = reference.times.flatMap((golden) => {
    const { riseMs, noonMs, setMs } = sunTimes(golden, Date.parse(golden.noon));
    return [
      [riseMs, golden.rise],
      [noonMs, golden.noon],
      [setMs, golden.set],
    ] as const;
  });
  const errorsS = times
    .filter(([ours, theirs]) => ours !== null && theirs !== null)
    .map(([ours, theirs]) => Math.abs(ours! - Date.parse(theirs!)) / 1000);
  return [
    figure(
      'position.spa',
      worst(({ golden: g, sun: s }) => angleBetweenDeg(s.zenithDeg, s.azimuthDeg, g.zenithDeg, g.azimuthDeg)),
      '°',
      `from NREL's SPA (pvlib), ${places}`,
      0.05,
    ),
    figure(
      'position.erfa',
      worst(({ golden: g, sun: s }) => angleBetweenDeg(s.zenithDeg, s.azimuthDeg, g.erfaZenithDeg, g.erfaAzimuthDeg)),
      '°',
      'from ERFA (astropy), the same',
      0.05,
    ),
    figure(
      'position.apparent-zenith',
      worst(({ golden: g, sun: s }) => Math.abs(s.apparentZenithDeg - g.apparentZenithDeg)),
      '°',
      "with refraction, from NREL's SPA",
      0.05,
    ),
    figure('rise-noon-set', Math.max(...errorsS), 's', `from NREL's SPA, worst of ${errorsS.length}`),
  ];
}

function besidePvwatts({ data }: Options): readonly Figure[] {
  const file = data === undefined ? undefined : path.join(data, 'pvlib/pvwatts_8760_rackmount.csv');
  const whole = file !== undefined && existsSync(file);
  if (file !== undefined && !whole) console.error(`No ${file}: the excerpt of test/fixtures stands in for it.`);
  const { hours, poa, acFromDc, ac, cellBiasC } = scoresOf(
    readHours(whole ? readFileSync(file, 'utf8') : readThinnedYear()),
  );
  const of = whole ? 'pvwatts-year' : 'pvwatts-excerpt';
  return [
    figure(`${of}.poa.mae`, poa.maePercent, '%', `irradiance on the panels, ${hours} hours of PVWatts v5, Denver`, 2),
    figure(`${of}.poa.bias`, poa.biasPercent, '%', 'the same'),
    figure(`${of}.cell.bias`, cellBiasC, 'K', 'SAPM; PVWatts has Fuentes'),
    figure(`${of}.ac-from-dc.mae`, acFromDc.maePercent, '%', 'the inverter alone', 0.01),
    figure(`${of}.ac.bias`, ac.biasPercent, '%', 'from weather to AC', 5),
    figure(`${of}.ac.mae`, ac.maePercent, '%', 'the same'),
  ];
}

/** A year of hours under a clear sky, the weather's own sun included. */
function cost(): Figure {
  const plant = solarPlant(DENVER, SYSTEM);
  const startMs = Date.UTC(2026, 0);
  const hours = 8760;
  const runs = Array.from({ length: 5 }, () => {
    const began = performance.now();
    for (let i = 0; i < hours; i++) {
      const atMs = startMs + i * HOUR_MS;
      plantPower(plant, atMs, clearSkyWeather(DENVER, atMs, 15, 2, 0.7));
    }
    return ((performance.now() - began) * 1000) / hours;
  });
  return {
    id: 'energy.sun.moment',
    value: median(runs),
    unit: 'µs',
    target: null,
    met: null,
    note: 'weather and power of one home at one moment, one thread, median of 5 years',
  };
}
