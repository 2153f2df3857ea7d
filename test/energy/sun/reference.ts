import { readFileSync } from 'node:fs';
import path from 'node:path';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');

interface Reference {
  readonly positions: readonly {
    readonly name: string;
    readonly at: string;
    readonly latitudeDeg: number;
    readonly longitudeDeg: number;
    readonly altitudeM: number;
    /** NREL's SPA as pvlib has it. */
    readonly zenithDeg: number;
    readonly apparentZenithDeg: number;
    readonly azimuthDeg: number;
    /** ERFA, as astropy has it: another theory of the same sun. */
    readonly erfaZenithDeg: number;
    readonly erfaAzimuthDeg: number;
  }[];
  readonly times: readonly {
    readonly name: string;
    readonly latitudeDeg: number;
    readonly longitudeDeg: number;
    readonly altitudeM: number;
    readonly rise: string | null;
    readonly noon: string;
    readonly set: string | null;
  }[];
  readonly [table: string]: unknown;
}

/** Made by test/fixtures/make_sun_reference.py with pvlib and astropy. */
export const reference: Reference = JSON.parse(readFileSync(path.join(fixtures, 'sun-reference.json'), 'utf8'));

/** A table of the reference: arguments and value. */
export const table = <Arguments extends string, Value = number>(
  name: string,
): readonly (Readonly<Record<Arguments, number>> & { readonly value: Value })[] => reference[name] as never;

export const readThinnedYear = (): string =>
  readFileSync(path.join(fixtures, 'pvwatts-denver/every-11th-hour.csv'), 'utf8');

const RADIAN = Math.PI / 180;

/** The angle between two directions; at the zenith azimuths may differ by anything. */
export function angleBetweenDeg(zenithA: number, azimuthA: number, zenithB: number, azimuthB: number): number {
  const high = Math.sin(((zenithA - zenithB) * RADIAN) / 2) ** 2;
  const wide = Math.sin(((azimuthA - azimuthB) * RADIAN) / 2) ** 2;
  return (2 * Math.asin(Math.sqrt(high + Math.sin(zenithA * RADIAN) * Math.sin(zenithB * RADIAN) * wide))) / RADIAN;
}
