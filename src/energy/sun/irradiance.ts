import { cosDeg } from './angles.ts';
import { DARK, type Irradiance } from './clear-sky.ts';
import { DAY_MS, type SunPosition } from './position.ts';
import type { Weather } from './weather.ts';

/** Outside of the atmosphere on a surface that faces the sun, W/m². Spencer (1971), 1366.1 W/m² in the mean. */
export function extraterrestrialWPerM2(atMs: number): number {
  const at = new Date(atMs);
  const day = Math.floor((atMs - Date.UTC(at.getUTCFullYear(), 0, 1)) / DAY_MS);
  const b = (2 * Math.PI * day) / 365;
  return (
    1366.1 *
    (1.00011 + 0.034221 * Math.cos(b) + 0.00128 * Math.sin(b) + 0.000719 * Math.cos(2 * b) + 7.7e-5 * Math.sin(2 * b))
  );
}

/** So low, what is said of direct light on a horizontal surface no longer tells its strength: all of it counts as diffuse. */
const LOWEST_FOR_DIRECT_DEG = 87;
const LEAST_COS_ZENITH = 0.065;

/**
 * Which share of the global irradiance is diffuse, from how clear the sky is. Erbs, Klein and Duffie (1982).
 *
 * @param extraWPerM2 see {@link extraterrestrialWPerM2}
 */
export function erbsDiffuseShare(ghiWPerM2: number, apparentZenithDeg: number, extraWPerM2: number): number {
  const cosZenith = Math.max(LEAST_COS_ZENITH, cosDeg(apparentZenithDeg));
  const kt = Math.min(1, ghiWPerM2 / (extraWPerM2 * cosZenith));
  if (kt <= 0.22) return 1 - 0.09 * kt;
  if (kt > 0.8) return 0.165;
  return 0.9511 + kt * (-0.1604 + kt * (4.388 + kt * (-16.638 + kt * 12.336)));
}

/** Civil twilight ends here. What a sensor says of light in the night is its own offset, or a lamp. */
const NIGHT_ZENITH_DEG = 96;

/**
 * All three from what is known. Two give the third; global alone is split by Erbs. Direct light that a sensor saw while the sun
 * was down is left out.
 *
 * @param weather checked, see `checkWeather`
 */
export function completeIrradiance(weather: Weather, sun: SunPosition, extraWPerM2: number): Irradiance {
  const { ghiWPerM2: ghi, dniWPerM2: dni, dhiWPerM2: dhi } = weather;
  const zenithDeg = sun.apparentZenithDeg;
  if (zenithDeg > NIGHT_ZENITH_DEG) return DARK;
  const cosZenith = Math.max(0, cosDeg(zenithDeg));
  const diffuse =
    dhi ??
    (dni === undefined ? ghi! * erbsDiffuseShare(ghi!, zenithDeg, extraWPerM2) : Math.max(0, ghi! - dni * cosZenith));
  if (dni !== undefined) {
    const direct = cosZenith === 0 ? 0 : dni;
    return { ghiWPerM2: ghi ?? direct * cosZenith + diffuse, dniWPerM2: direct, dhiWPerM2: diffuse };
  }
  if (zenithDeg > LOWEST_FOR_DIRECT_DEG) return { ghiWPerM2: ghi!, dniWPerM2: 0, dhiWPerM2: ghi! };
  const direct = Math.min(extraWPerM2, Math.max(0, ghi! - diffuse) / cosZenith);
  return { ghiWPerM2: ghi!, dniWPerM2: direct, dhiWPerM2: Math.max(0, ghi! - direct * cosZenith) };
}
