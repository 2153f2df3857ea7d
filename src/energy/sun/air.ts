/** Of the standard atmosphere, Pa. */
export const SEA_LEVEL_PA = 101_325;

/** Of the standard atmosphere at an altitude, Pa (Portland State Aerospace Society, 2004, as pvlib has it). */
export function pressurePa(altitudeM: number): number {
  return 100 * ((44_331.514 - altitudeM) / 11_880.516) ** (1 / 0.1902632);
}

/**
 * How much more air the light passes than from straight above: 1 at the zenith, 38 at the horizon. Kasten and Young (1989).
 *
 * @param apparentZenithDeg up to 90; beyond, that of the horizon
 */
export function relativeAirMass(apparentZenithDeg: number): number {
  const zenithDeg = Math.min(90, apparentZenithDeg);
  return 1 / (Math.cos((zenithDeg * Math.PI) / 180) + 0.50572 * (96.07995 - zenithDeg) ** -1.6364);
}
