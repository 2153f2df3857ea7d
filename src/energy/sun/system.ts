import { HelioError } from '../../errors.ts';
import { checkNumber, checkRatedPower } from './check.ts';
import type { Place } from './position.ts';

export const MOUNTINGS = ['rack', 'roof', 'flat-roof'] as const;

/**
 * How much air cools the back: `rack` stands free (field, façade frame), `roof` is parallel to tiles a hand's breadth above them,
 * `flat-roof` is tilted on ballast.
 */
export type Mounting = (typeof MOUNTINGS)[number];

/** PVWatts' kinds of module. They differ here in what heat costs. */
export const MODULES = ['standard', 'premium', 'thin-film'] as const;
export type Module = (typeof MODULES)[number];

/** Panels that look the same way. */
export interface SolarArray {
  /** Rated DC power of all its panels at 1000 W/m² and 25 °C. */
  readonly peakW: number;
  /** 0 lies flat, 90 stands. */
  readonly tiltDeg: number;
  /** Where its face looks, clockwise from north: 90 is east, 180 south, 270 west. */
  readonly azimuthDeg: number;
  readonly mounting: Mounting;
  /** Default `standard`. */
  readonly module?: Module;
  /** How high hills, trees and houses stand, for equal sectors clockwise from north; none when left out. */
  readonly horizonDeg?: readonly number[];
}

export interface SolarSystem {
  readonly arrays: readonly SolarArray[];
  /** The most AC power of the inverter or inverters, all arrays together. */
  readonly inverterW: number;
  /** Dirt, mismatch, wires, ageing …: {@link DEFAULT_LOSS_PERCENT} when left out. */
  readonly lossPercent?: number;
  /** The most that may go to the grid; {@link exportWithin} tells what it throws away. */
  readonly exportLimitW?: number;
}

const MOST_ARRAYS = 64;
const MOST_SECTORS = 360;

const degrees = (min: number, max: number, remedy: string) => ({ min, max, unit: '°', remedy });
const LATITUDE = degrees(-90, 90, 'Give degrees, north of the equator as +; 48.0 is Freiburg.');
const LONGITUDE = degrees(-180, 180, 'Give degrees, east of Greenwich as +, west as −; −105.2 is Denver.');
const ALTITUDE = { min: -500, max: 9000, unit: 'm', remedy: 'Give metres above the sea, 0 if you do not know.' };
const TILT = degrees(0, 90, 'Give the angle from the horizontal: 0 lies flat, 90 stands.');
const AZIMUTH = degrees(0, 360, 'Count clockwise from north: 90 is east, 180 south, 270 west.');
const HORIZON = degrees(0, 90, 'Give how high the horizon stands in each sector, 0 where it is free.');
const LOSS = {
  min: 0,
  max: 99,
  unit: '%',
  remedy: 'Give per cent of the DC energy that is lost, or leave it out: 14.08.',
};
const FIRST_MS = Date.UTC(1980, 0);
const LAST_MS = Date.UTC(2100, 0);

/** @throws HelioError HELIO-1008 */
export function checkPlace({ latitudeDeg, longitudeDeg, altitudeM }: Place): void {
  checkNumber('HELIO-1008', 'latitudeDeg', latitudeDeg, LATITUDE);
  checkNumber('HELIO-1008', 'longitudeDeg', longitudeDeg, LONGITUDE);
  checkNumber('HELIO-1008', 'altitudeM', altitudeM, ALTITUDE);
}

/** @throws HelioError HELIO-1008 unless it is Unix time in ms from 1980 to 2100; seconds of our time are before that */
export function checkMoment(atMs: number): void {
  if (atMs >= FIRST_MS && atMs < LAST_MS) return;
  throw new HelioError(
    'HELIO-1008',
    `The time is ${atMs} ms after 1970, which is not from 1980 to 2100.`,
    'Give Unix time in milliseconds, as Date.now() has it: seconds × 1000.',
  );
}

/** @throws HelioError HELIO-1008 naming the first figure that no system has, and kW where W was meant */
export function checkSystem({ arrays, inverterW, lossPercent, exportLimitW }: SolarSystem): void {
  if (!Array.isArray(arrays) || arrays.length === 0 || arrays.length > MOST_ARRAYS)
    throw new HelioError(
      'HELIO-1008',
      `The solar system has ${Array.isArray(arrays) ? arrays.length : 'no list of'} arrays, which is not from 1 to ${MOST_ARRAYS}.`,
      'List an array for each direction that panels look in; leave the whole system out where there is none.',
    );
  arrays.forEach((array, i) => {
    checkArray(array, `arrays[${i}]`);
  });
  checkRatedPower('inverterW', inverterW, 'kW');
  if (lossPercent !== undefined) checkNumber('HELIO-1008', 'lossPercent', lossPercent, LOSS);
  if (exportLimitW !== undefined && exportLimitW !== 0) checkRatedPower('exportLimitW', exportLimitW, 'kW');
}

function checkArray(array: SolarArray, name: string): void {
  const { peakW, tiltDeg, azimuthDeg, mounting, module, horizonDeg } = array;
  checkRatedPower(`${name}.peakW`, peakW, 'kWp');
  checkNumber('HELIO-1008', `${name}.tiltDeg`, tiltDeg, TILT);
  checkNumber('HELIO-1008', `${name}.azimuthDeg`, azimuthDeg, AZIMUTH);
  checkOneOf(`${name}.mounting`, mounting, MOUNTINGS);
  if (module !== undefined) checkOneOf(`${name}.module`, module, MODULES);
  if (horizonDeg === undefined) return;
  if (!Array.isArray(horizonDeg) || horizonDeg.length === 0 || horizonDeg.length > MOST_SECTORS)
    throw new HelioError(
      'HELIO-1008',
      `${name}.horizonDeg has ${Array.isArray(horizonDeg) ? horizonDeg.length : 'no list of'} sectors, which is not from 1 to ${MOST_SECTORS}.`,
      'Give one elevation for each of 8, 12 or 36 equal sectors, clockwise from north, or leave it out.',
    );
  horizonDeg.forEach((elevation, i) => {
    checkNumber('HELIO-1008', `${name}.horizonDeg[${i}]`, elevation, HORIZON);
  });
}

function checkOneOf(name: string, value: unknown, known: readonly string[]): void {
  if (known.includes(value as string)) return;
  throw new HelioError(
    'HELIO-1008',
    `${name} is ${JSON.stringify(value)}, which is unknown.`,
    `Name one of ${known.join(', ')}.`,
  );
}
