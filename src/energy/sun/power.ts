import { CELL_MODELS, type CellModel, cellTemperatureC } from './cell-temperature.ts';
import { inverterPower } from './inverter.ts';
import { completeIrradiance, extraterrestrialWPerM2 } from './irradiance.ts';
import { DEFAULT_LOSS_PERCENT, dcPowerW, PER_DEGREE } from './panel.ts';
import { effectiveWPerM2, onPlane, type Plane, planeOf, totalWPerM2 } from './plane.ts';
import { type Place, type SunPosition, sunPosition } from './position.ts';
import { checkMoment, checkPlace, checkSystem, type SolarSystem } from './system.ts';
import { checkWeather, type Weather } from './weather.ts';

/** Power of a solar system at one moment. */
export interface SolarPower {
  /** Of all arrays, after losses. */
  readonly dcW: number;
  readonly acW: number;
  /** What the inverter's rating throws away, as AC power. A load cannot have it; a battery on the DC side could. */
  readonly clippedW: number;
  /** Irradiance on each array, before its glass. */
  readonly poaWPerM2: readonly number[];
}

/** A place and a system that were checked, and what of them never changes. */
export interface SolarPlant {
  readonly place: Place;
  readonly inverterW: number;
  readonly arrays: readonly {
    readonly plane: Plane;
    /** After losses. */
    readonly peakW: number;
    readonly perDegree: number;
    readonly cell: CellModel;
  }[];
}

/**
 * For many moments of one system: checks it once.
 *
 * @throws HelioError HELIO-1008 for coordinates, sizes and angles that cannot be, and where kW was meant
 */
export function solarPlant(place: Place, system: SolarSystem): SolarPlant {
  checkPlace(place);
  checkSystem(system);
  const kept = 1 - (system.lossPercent ?? DEFAULT_LOSS_PERCENT) / 100;
  return {
    place,
    inverterW: system.inverterW,
    arrays: system.arrays.map(({ peakW, tiltDeg, azimuthDeg, horizonDeg, mounting, module }) => ({
      plane: planeOf(tiltDeg, azimuthDeg, horizonDeg),
      peakW: peakW * kept,
      perDegree: PER_DEGREE[module ?? 'standard'],
      cell: CELL_MODELS[mounting],
    })),
  };
}

/**
 * @param sun that of the plant's place and moment; homes of one town may share it
 * @throws HelioError HELIO-1008 for a time, HELIO-1009 for weather that cannot be
 */
export function plantPower(
  plant: SolarPlant,
  atMs: number,
  weather: Weather,
  sun: SunPosition = sunPosition(plant.place, atMs),
): SolarPower {
  checkMoment(atMs);
  checkWeather(weather);
  const extra = extraterrestrialWPerM2(atMs);
  const light = completeIrradiance(weather, sun, extra);
  const poaWPerM2: number[] = [];
  let dcW = 0;
  for (const { plane, peakW, perDegree, cell } of plant.arrays) {
    const onArray = onPlane(plane, sun, light, extra);
    const poa = totalWPerM2(onArray);
    const cellC = cellTemperatureC(cell, poa, weather.airC, weather.windMPerS);
    poaWPerM2.push(poa);
    dcW += dcPowerW(peakW, effectiveWPerM2(onArray), cellC, perDegree);
  }
  return { dcW, ...inverterPower(dcW, plant.inverterW), poaWPerM2 };
}

/**
 * What a solar system gives at one moment. Sun, Hay–Davies, glass, SAPM or Faiman, PVWatts v5: docs/sun.md.
 *
 * @param atMs Unix time, ms; for an hour's mean its middle
 * @throws HelioError HELIO-1008 for a place, time or system, HELIO-1009 for weather that cannot be
 */
export const pvPower = (place: Place, system: SolarSystem, atMs: number, weather: Weather): SolarPower =>
  plantPower(solarPlant(place, system), atMs, weather);
