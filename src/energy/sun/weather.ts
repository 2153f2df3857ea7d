import { HelioError } from '../../errors.ts';
import { checkNumber } from './check.ts';

/** At least global irradiance, or direct and diffuse; what is missing is derived. A gap is no weather: NaN is refused, never 0. */
export interface Weather {
  /** Global, on a horizontal surface. */
  readonly ghiWPerM2?: number;
  /** Direct normal: of the sun's disc, on a surface that faces it. */
  readonly dniWPerM2?: number;
  /** Diffuse, of the rest of the sky, on a horizontal surface. */
  readonly dhiWPerM2?: number;
  readonly airC: number;
  readonly windMPerS: number;
}

const IRRADIANCE = {
  min: 0,
  max: 2000,
  unit: 'W/m²',
  remedy:
    'Leave out what is not known; a sensor that says a little less than 0 at night has an offset: subtract it, or give 0.',
};
const AIR = {
  min: -90,
  max: 60,
  unit: '°C',
  remedy: 'Give the air in degrees Celsius; leave moments out that have none.',
};
const WIND = { min: 0, max: 120, unit: 'm/s', remedy: 'Give the wind in metres a second, 1 where nobody measured it.' };

/** @throws HelioError HELIO-1009 naming the first figure that no weather has */
export function checkWeather(weather: Weather): void {
  const { ghiWPerM2, dniWPerM2, dhiWPerM2, airC, windMPerS } = weather;
  if (ghiWPerM2 === undefined && (dniWPerM2 === undefined || dhiWPerM2 === undefined))
    throw new HelioError(
      'HELIO-1009',
      `The weather has ${dniWPerM2 !== undefined ? 'only dniWPerM2' : dhiWPerM2 !== undefined ? 'only dhiWPerM2' : 'no irradiance at all'}.`,
      'Give ghiWPerM2, or dniWPerM2 and dhiWPerM2; clearSkyWeather() makes weather where there is none.',
    );
  if (ghiWPerM2 !== undefined) checkNumber('HELIO-1009', 'ghiWPerM2', ghiWPerM2, IRRADIANCE);
  if (dniWPerM2 !== undefined) checkNumber('HELIO-1009', 'dniWPerM2', dniWPerM2, IRRADIANCE);
  if (dhiWPerM2 !== undefined) checkNumber('HELIO-1009', 'dhiWPerM2', dhiWPerM2, IRRADIANCE);
  checkNumber('HELIO-1009', 'airC', airC, AIR);
  checkNumber('HELIO-1009', 'windMPerS', windMPerS, WIND);
}
