import { pressurePa } from './air.ts';
import { atan2Deg, cosDeg, sinDeg, tanDeg, turned } from './angles.ts';

/** A point on the earth. */
export interface Place {
  /** North is +, −90 to 90. */
  readonly latitudeDeg: number;
  /** East is +, −180 to 180. */
  readonly longitudeDeg: number;
  /** Above the sea. */
  readonly altitudeM: number;
}

export interface SunPosition {
  /** From straight up, without refraction. */
  readonly zenithDeg: number;
  /** As it is seen: with refraction. The one that light follows. */
  readonly apparentZenithDeg: number;
  /** Clockwise from north: 90 is east, 180 south. At the poles every direction is south (or north): the longitude decides. */
  readonly azimuthDeg: number;
  /** How long since the sun stood highest, as an angle from −180 to 180: 15° an hour. */
  readonly hourAngleDeg: number;
  /** Of the earth's centre from the sun's, in astronomical units. */
  readonly distanceAu: number;
}

export const DAY_MS = 86_400_000;

/** Terrestrial time − universal time, s: 57 in 1990, 69 in 2026. Ten seconds more or less are 0.0001°. */
const DELTA_T_S = 69;

/** Of the air for the refraction, °C, where the weather is not known: ten degrees are 0.02° at the horizon, less than 0.001° above 20°. */
const MEAN_AIR_C = 12;

/** The sun among the stars: Meeus, Astronomical Algorithms (1998), chapter 25 (0.01°), sidereal time chapter 12. */
function celestial(atMs: number) {
  const daysUt = atMs / DAY_MS + 2_440_587.5 - 2_451_545;
  const t = (daysUt + DELTA_T_S / 86_400) / 36_525;
  const meanLongitude = 280.46646 + t * (36_000.76983 + 0.0003032 * t);
  const anomaly = 357.52911 + t * (35_999.05029 - 0.0001537 * t);
  const eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t);
  const centre =
    (1.914602 - t * (0.004817 + 0.000014 * t)) * sinDeg(anomaly) +
    (0.019993 - 0.000101 * t) * sinDeg(2 * anomaly) +
    0.000289 * sinDeg(3 * anomaly);
  const node = 125.04 - 1934.136 * t;
  const nutation = -0.00478 * sinDeg(node);
  const aberration = -0.00569;
  const longitude = meanLongitude + centre + aberration + nutation;
  const obliquity = 23.4392911 - 0.0130042 * t + 0.00256 * cosDeg(node);
  const siderealDeg =
    280.46061837 + 360.98564736629 * daysUt + 0.000387933 * (daysUt / 36_525) ** 2 + nutation * cosDeg(obliquity);
  const sinDeclination = sinDeg(obliquity) * sinDeg(longitude);
  return {
    rightAscensionDeg: atan2Deg(cosDeg(obliquity) * sinDeg(longitude), cosDeg(longitude)),
    sinDeclination,
    cosDeclination: Math.sqrt(1 - sinDeclination ** 2),
    siderealDeg,
    distanceAu: (1.000001018 * (1 - eccentricity ** 2)) / (1 + eccentricity * cosDeg(anomaly + centre)),
  };
}

/**
 * Where the sun is. Within 0.01° of NREL's SPA from 1990 to 2060 (`npm run bench energy -- --only sun`).
 *
 * @param atMs Unix time, ms
 * @param air of the refraction; by default that of the altitude in the standard atmosphere
 */
export function sunPosition(
  place: Place,
  atMs: number,
  air: { readonly pressurePa?: number; readonly airC?: number } = {},
): SunPosition {
  const { rightAscensionDeg, sinDeclination, cosDeclination, siderealDeg, distanceAu } = celestial(atMs);
  const hourAngleDeg = turned(siderealDeg + place.longitudeDeg - rightAscensionDeg + 180) - 180;
  const [sinLatitude, cosLatitude] = [sinDeg(place.latitudeDeg), cosDeg(place.latitudeDeg)];
  const cosHour = cosDeg(hourAngleDeg);
  const up = sinLatitude * sinDeclination + cosLatitude * cosDeclination * cosHour;
  const north = cosLatitude * sinDeclination - sinLatitude * cosDeclination * cosHour;
  const east = -cosDeclination * sinDeg(hourAngleDeg);
  const level = Math.hypot(north, east);
  // Seen from the ground and not from the earth's centre the sun is a little lower: the horizontal parallax is 8.794″.
  const elevationDeg = atan2Deg(up, level) - (8.794 / 3600 / distanceAu) * level;
  return {
    zenithDeg: 90 - elevationDeg,
    apparentZenithDeg:
      90 -
      elevationDeg -
      refractionDeg(elevationDeg, air.pressurePa ?? pressurePa(place.altitudeM), air.airC ?? MEAN_AIR_C),
    azimuthDeg: turned(atan2Deg(east, north)),
    hourAngleDeg,
    distanceAu,
  };
}

/** The centre is this low, without refraction, when the upper edge comes and goes: 34′ of refraction, 16′ of radius. */
export const RISE_ELEVATION_DEG = -0.8333;

/** Sæmundsson (1986), as Reda and Andreas (2004, equation 42) have it; nothing once the sun has set. */
function refractionDeg(elevationDeg: number, pressure: number, airC: number): number {
  if (elevationDeg < RISE_ELEVATION_DEG) return 0;
  const standard = 1.02 / (60 * tanDeg(elevationDeg + 10.3 / (elevationDeg + 5.11)));
  return (pressure / 101_000) * (283 / (273 + airC)) * standard;
}
