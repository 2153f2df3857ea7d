import { pressurePa, relativeAirMass, SEA_LEVEL_PA } from './air.ts';
import { cosDeg } from './angles.ts';

/** On a horizontal surface (global, diffuse) and on one that faces the sun (direct normal), W/m². */
export interface Irradiance {
  readonly ghiWPerM2: number;
  readonly dniWPerM2: number;
  readonly dhiWPerM2: number;
}

export const DARK: Irradiance = { ghiWPerM2: 0, dniWPerM2: 0, dhiWPerM2: 0 };

/** Of rather clean air over land: the yearly mean of Central Europe is 3 to 3.5, of a city 4 to 5, of mountains 2. */
export const DEFAULT_LINKE_TURBIDITY = 3;

/** Global irradiance of a clear sky by the sun's height alone, W/m². Haurwitz (1945). */
export function haurwitzWPerM2(apparentZenithDeg: number): number {
  if (apparentZenithDeg >= 90) return 0;
  const cosZenith = cosDeg(apparentZenithDeg);
  return 1098 * cosZenith * Math.exp(-0.059 / cosZenith);
}

/**
 * Clear sky by altitude and turbidity. Ineichen and Perez (2002), without the enhancement of direct light that Perez took back.
 *
 * @param extraWPerM2 outside of the atmosphere, W/m²
 * @param linkeTurbidity how many clean dry atmospheres would dim as much as this one
 */
export function ineichenPerez(
  apparentZenithDeg: number,
  altitudeM: number,
  extraWPerM2: number,
  linkeTurbidity: number = DEFAULT_LINKE_TURBIDITY,
): Irradiance {
  if (apparentZenithDeg >= 90) return DARK;
  const cosZenith = cosDeg(apparentZenithDeg);
  const airMass = (relativeAirMass(apparentZenithDeg) * pressurePa(altitudeM)) / SEA_LEVEL_PA;
  const fh1 = Math.exp(-altitudeM / 8000);
  const fh2 = Math.exp(-altitudeM / 1250);
  const cg1 = 5.09e-5 * altitudeM + 0.868;
  const cg2 = 3.92e-5 * altitudeM + 0.0387;
  const ghi = cg1 * extraWPerM2 * cosZenith * Math.exp(-cg2 * airMass * (fh1 + fh2 * (linkeTurbidity - 1)));
  const direct = (0.664 + 0.163 / fh1) * extraWPerM2 * Math.exp(-0.09 * airMass * (linkeTurbidity - 1));
  const most = (ghi * (1 - (0.1 - 0.2 * Math.exp(-linkeTurbidity)) / (0.1 + 0.882 / fh1))) / cosZenith;
  const dni = Math.min(direct, most);
  return { ghiWPerM2: ghi, dniWPerM2: dni, dhiWPerM2: ghi - dni * cosZenith };
}
