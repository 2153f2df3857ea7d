import { cosDeg, sinDeg } from './angles.ts';
import type { Irradiance } from './clear-sky.ts';
import { horizonAtDeg, skyViewShare } from './horizon.ts';
import type { SunPosition } from './position.ts';

/** What a plane's place in the sky never changes: computed once. */
export interface Plane {
  readonly tiltDeg: number;
  readonly azimuthDeg: number;
  readonly horizonDeg: readonly number[] | undefined;
  /** See `skyViewShare`. */
  readonly skyShare: number;
  /** Of the ground, seen from the plane. */
  readonly groundShare: number;
}

export const planeOf = (tiltDeg: number, azimuthDeg: number, horizonDeg?: readonly number[]): Plane => ({
  tiltDeg,
  azimuthDeg,
  horizonDeg,
  skyShare: horizonDeg === undefined ? (1 + cosDeg(tiltDeg)) / 2 : skyViewShare(tiltDeg, azimuthDeg, horizonDeg),
  groundShare: (1 - cosDeg(tiltDeg)) / 2,
});

/** Light that falls on a plane, by where it comes from, W/m². */
export interface PlaneIrradiance {
  /** Of the sun's disc. */
  readonly beamWPerM2: number;
  /** Of the bright sky around it, which a horizon hides together with the sun. */
  readonly circumsolarWPerM2: number;
  /** Of the rest of the sky. */
  readonly skyWPerM2: number;
  readonly groundWPerM2: number;
  /** Cosine of the angle between the sun and what the plane faces; 0 where the sun is behind it. */
  readonly cosIncidence: number;
}

/** Of grass and of what usually lies around houses: as PVWatts has it. */
export const ALBEDO = 0.2;

/** Sine of 1°: so low a sun would make the share of bright sky grow without bound. */
const LEAST_COS_ZENITH = 0.01745;

/** From the horizontal to a plane. Hay and Davies (1980); beam and the sky around it are blocked by the horizon, the rest is by the share of sky. */
export function onPlane(plane: Plane, sun: SunPosition, light: Irradiance, extraWPerM2: number): PlaneIrradiance {
  const cosZenith = cosDeg(sun.apparentZenithDeg);
  const cosIncidence = Math.max(
    0,
    cosDeg(plane.tiltDeg) * cosZenith +
      sinDeg(plane.tiltDeg) * sinDeg(sun.apparentZenithDeg) * cosDeg(sun.azimuthDeg - plane.azimuthDeg),
  );
  const anisotropy = Math.min(1, light.dniWPerM2 / extraWPerM2);
  const seen =
    plane.horizonDeg === undefined || 90 - sun.apparentZenithDeg > horizonAtDeg(plane.horizonDeg, sun.azimuthDeg);
  return {
    beamWPerM2: seen ? light.dniWPerM2 * cosIncidence : 0,
    circumsolarWPerM2: seen ? (light.dhiWPerM2 * anisotropy * cosIncidence) / Math.max(cosZenith, LEAST_COS_ZENITH) : 0,
    skyWPerM2: light.dhiWPerM2 * (1 - anisotropy) * plane.skyShare,
    groundWPerM2: light.ghiWPerM2 * ALBEDO * plane.groundShare,
    cosIncidence,
  };
}

export const totalWPerM2 = (light: PlaneIrradiance): number =>
  light.beamWPerM2 + light.circumsolarWPerM2 + light.skyWPerM2 + light.groundWPerM2;

/** Index of refraction, extinction (1/m) and thickness (m) of a panel's glass, without a coating. */
const GLASS = { refraction: 1.526, extinctionPerM: 4, thicknessM: 0.002 };

/**
 * How much of the light passes the glass at an angle, over that which passes straight on: Snell, Fresnel and Bouguer, as De Soto et al. (2006)
 * have it. This is the one that {@link effectiveWPerM2} uses.
 */
export function glassIncidenceFactor(cosIncidence: number): number {
  if (cosIncidence <= 0) return 0;
  const { refraction, extinctionPerM, thicknessM } = GLASS;
  const cosInside = Math.sqrt(1 - (1 - cosIncidence ** 2) / refraction ** 2);
  const across = ((cosIncidence - refraction * cosInside) / (cosIncidence + refraction * cosInside)) ** 2;
  const along = ((cosInside - refraction * cosIncidence) / (cosInside + refraction * cosIncidence)) ** 2;
  const passed = (1 - (across + along) / 2) * Math.exp((-extinctionPerM * thicknessM) / cosInside);
  const straight = (1 - ((refraction - 1) / (refraction + 1)) ** 2) * Math.exp(-extinctionPerM * thicknessM);
  return passed / straight;
}

/** The same by ASHRAE's formula of one parameter, for comparison with tools that use it. Souka and Safwat (1966). */
export const ashraeIncidenceFactor = (cosIncidence: number, b = 0.05): number =>
  cosIncidence <= 0 ? 0 : Math.max(0, 1 - b * (1 / cosIncidence - 1));

/**
 * What gets through the glass to the cells. Losses by the angle are of the beam alone, as in PVWatts: what comes from all over the sky
 * loses nearly the same all year, which a panel's rating by flash does not show and its loss factor holds.
 */
export const effectiveWPerM2 = (light: PlaneIrradiance): number =>
  light.beamWPerM2 * glassIncidenceFactor(light.cosIncidence) +
  light.circumsolarWPerM2 +
  light.skyWPerM2 +
  light.groundWPerM2;
