import { cosDeg } from './angles.ts';
import { checkNumber } from './check.ts';
import { ineichenPerez } from './clear-sky.ts';
import { erbsDiffuseShare, extraterrestrialWPerM2 } from './irradiance.ts';
import { type Place, sunPosition } from './position.ts';
import { checkMoment, checkPlace } from './system.ts';
import { checkWeather, type Weather } from './weather.ts';

/**
 * Weather where nobody knows it: Ineichen–Perez at Linke turbidity 3, times a factor that is stated. The fewer light, the more of it is
 * diffuse: from a clear sky's share at 1 towards that of Erbs.
 *
 * @param cloudFactor global irradiance over that of a clear sky, 0 to 1; 0.7 is a year's mean in Central Europe
 */
export function clearSkyWeather(
  place: Place,
  atMs: number,
  airC: number,
  windMPerS: number,
  cloudFactor: number,
): Weather {
  checkPlace(place);
  checkMoment(atMs);
  checkNumber('HELIO-1009', 'cloudFactor', cloudFactor, {
    min: 0,
    max: 1,
    unit: '(a share)',
    remedy: 'Give the share of a clear sky: 1 without clouds, 0.7 in the mean of a year, 0.2 under rain.',
  });
  const { apparentZenithDeg } = sunPosition(place, atMs);
  const extra = extraterrestrialWPerM2(atMs);
  const clear = ineichenPerez(apparentZenithDeg, place.altitudeM, extra);
  const ghi = clear.ghiWPerM2 * cloudFactor;
  const clearShare = clear.ghiWPerM2 === 0 ? 1 : clear.dhiWPerM2 / clear.ghiWPerM2;
  const cloudy = Math.max(0, erbsDiffuseShare(ghi, apparentZenithDeg, extra) - clearShare);
  const dhi = ghi * (clearShare + (1 - cloudFactor) * cloudy);
  const weather = {
    ghiWPerM2: ghi,
    dniWPerM2: ghi === 0 ? 0 : (ghi - dhi) / cosDeg(apparentZenithDeg),
    dhiWPerM2: dhi,
    airC,
    windMPerS,
  };
  checkWeather(weather);
  return weather;
}
