import { atan2Deg, cosDeg, sinDeg, turned } from './angles.ts';

/** How high the horizon stands in a direction. */
export function horizonAtDeg(horizonDeg: readonly number[], azimuthDeg: number): number {
  const sector = Math.floor((turned(azimuthDeg) / 360) * horizonDeg.length);
  return horizonDeg[Math.min(sector, horizonDeg.length - 1)]!;
}

const DIRECTIONS = 720;

/**
 * Share of an evenly bright sky's light that reaches a plane; (1 + cos tilt) / 2 where the horizon is free. What stands before the sky
 * counts as dark. Dozier and Frew (1990, equation 7b).
 */
export function skyViewShare(tiltDeg: number, azimuthDeg: number, horizonDeg: readonly number[]): number {
  const [sinTilt, cosTilt] = [sinDeg(tiltDeg), cosDeg(tiltDeg)];
  let sum = 0;
  for (let i = 0; i < DIRECTIONS; i++) {
    const direction = ((i + 0.5) * 360) / DIRECTIONS;
    const facing = sinTilt * cosDeg(direction - azimuthDeg);
    // The plane itself hides what is behind it: seen from there, its edge stands above the horizon.
    const ownDeg = facing >= 0 ? 90 : atan2Deg(cosTilt, -facing);
    const downToDeg = Math.min(ownDeg, 90 - horizonAtDeg(horizonDeg, direction));
    const sin = sinDeg(downToDeg);
    sum += cosTilt * sin ** 2 + facing * ((downToDeg * Math.PI) / 180 - sin * cosDeg(downToDeg));
  }
  return sum / DIRECTIONS;
}
