/** PVWatts v5's own hours beside ours: for the tests and for `npm run bench energy -- --only sun`. */

import { HOUR_MS } from '../../../src/energy/series.ts';
import {
  CELL_MODELS,
  cellTemperatureC,
  completeIrradiance,
  extraterrestrialWPerM2,
  inverterPower,
  onPlane,
  type Place,
  planeOf,
  plantPower,
  type SolarSystem,
  solarPlant,
  sunPosition,
  sunTimes,
  totalWPerM2,
} from '../../../src/energy/sun/index.ts';

/** As the file's head says it: 4 kW on an open rack, DC/AC 1.2. */
export const DENVER: Place = { latitudeDeg: 39.73, longitudeDeg: -105.18, altitudeM: 1819.6 };
export const SYSTEM: SolarSystem = {
  arrays: [{ peakW: 4000, tiltDeg: 20, azimuthDeg: 180, mounting: 'rack' }],
  inverterW: 4000 / 1.2,
  lossPercent: 14.08,
};

export interface Hour {
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly dniWPerM2: number;
  readonly dhiWPerM2: number;
  readonly airC: number;
  readonly windMPerS: number;
  readonly poaWPerM2: number;
  readonly cellC: number;
  readonly dcW: number;
  readonly acW: number;
}

/** Rows of numbers after whatever head there is. */
export function readHours(text: string): readonly Hour[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((cell) => (cell === '' ? Number.NaN : Number(cell))))
    .filter((cells) => cells.length === 11 && cells.every(Number.isFinite))
    .map((cells) => {
      const [month, day, hour, dniWPerM2, dhiWPerM2, airC, windMPerS, poaWPerM2, cellC, dcW, acW] = cells as FixedRow;
      return { month, day, hour, dniWPerM2, dhiWPerM2, airC, windMPerS, poaWPerM2, cellC, dcW, acW };
    });
}

type FixedRow = [number, number, number, number, number, number, number, number, number, number, number];

/** Any year that is no leap year; the file is of a typical one. Hours are of UTC − 7 all the year. */
const YEAR = 2003;
const ZONE_H = -7;

/** The middle of that part of the hour in which the sun is up, as PVWatts takes it; of the whole hour when it is not. */
export function middleMs({ month, day, hour }: Hour): number {
  const startMs = Date.UTC(YEAR, month - 1, day, hour - ZONE_H);
  const endMs = startMs + HOUR_MS;
  const { riseMs, setMs } = sunTimes(DENVER, startMs + HOUR_MS / 2);
  const [from, to] = [Math.max(startMs, riseMs!), Math.min(endMs, setMs!)];
  return from < to ? (from + to) / 2 : startMs + HOUR_MS / 2;
}

export interface Score {
  /** Σ ours / Σ PVWatts − 1, %. */
  readonly biasPercent: number;
  /** Σ |ours − PVWatts| / Σ PVWatts, %. */
  readonly maePercent: number;
}

function score(pairs: readonly (readonly [ours: number, theirs: number])[]): Score {
  const sum = (of: (pair: readonly [number, number]) => number): number => pairs.reduce((all, p) => all + of(p), 0);
  const theirs = sum(([, each]) => each);
  return {
    biasPercent: 100 * (sum(([each]) => each) / theirs - 1),
    maePercent: (100 * sum(([a, b]) => Math.abs(a - b))) / theirs,
  };
}

export interface Scores {
  readonly hours: number;
  /** Irradiance on the panels. */
  readonly poa: Score;
  /** What PVWatts' own DC becomes behind our inverter. */
  readonly acFromDc: Score;
  /** From weather to AC. */
  readonly ac: Score;
  /** Mean of ours − PVWatts' while the sun shines, K. */
  readonly cellBiasC: number;
}

export function scoresOf(hours: readonly Hour[]): Scores {
  const plant = solarPlant(DENVER, SYSTEM);
  const plane = planeOf(20, 180);
  const lit = hours.filter(({ poaWPerM2 }) => poaWPerM2 > 0);
  const cell = lit.map((hour) => {
    const at = middleMs(hour);
    const [sun, extra] = [sunPosition(DENVER, at), extraterrestrialWPerM2(at)];
    const { dniWPerM2, dhiWPerM2, airC, windMPerS } = hour;
    const light = completeIrradiance({ dniWPerM2, dhiWPerM2, airC, windMPerS }, sun, extra);
    const poa = totalWPerM2(onPlane(plane, sun, light, extra));
    return cellTemperatureC(CELL_MODELS.rack, poa, airC, windMPerS) - hour.cellC;
  });
  const powers = hours.map((hour) => {
    const { dniWPerM2, dhiWPerM2, airC, windMPerS } = hour;
    return plantPower(plant, middleMs(hour), { dniWPerM2, dhiWPerM2, airC, windMPerS });
  });
  return {
    hours: hours.length,
    poa: score(hours.map((hour, i) => [powers[i]!.poaWPerM2[0]!, hour.poaWPerM2])),
    acFromDc: score(hours.map((hour) => [inverterPower(hour.dcW, SYSTEM.inverterW).acW, hour.acW])),
    ac: score(hours.map((hour, i) => [powers[i]!.acW, hour.acW])),
    cellBiasC: cell.reduce((sum, each) => sum + each, 0) / cell.length,
  };
}
