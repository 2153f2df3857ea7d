import type { Policy } from './policy-schema.ts';
import type { SiteNow, Vehicle } from './site-now.ts';

/**
 * What a home has left for training, after evcc's law (core/loadpoint.go `pvMaxCurrent`, core/site.go `sitePower`) with the battery's evening in mind: an island
 * that takes what would have filled the battery buys it back from the grid after sunset.
 */

/** Charge from which on the battery counts as full. */
export const FULL_PERCENT = 95;

/**
 * Power that training may take without taking from anybody, cars that charge with the sun included.
 *
 * @returns W; undefined where nobody knows
 */
export function surplusW(site: SiteNow, policy: Policy): number | undefined {
  const ofHomeW = homeSurplusW(site, policy);
  return ofHomeW === undefined
    ? undefined
    : ofHomeW - takenFirst(site.vehicles ?? [], ofHomeW).reduce((sum, { moreW }) => sum + moreW, 0);
}

/** Those of the vehicles that would take of a surplus: whoever charges takes what there is, another begins with its least. In their order. */
export function takenFirst(vehicles: readonly Vehicle[], surplusW: number): readonly Vehicle[] {
  let leftW = surplusW;
  return vehicles.filter(({ leastW, moreW }) => {
    if (leastW > 0 && leftW < leastW) return false;
    leftW -= moreW;
    return true;
  });
}

/**
 * Power that the home itself has left: what goes to the grid or is thrown away, what it draws itself already, and
 * what charges the battery where that comes second or the battery is full.
 *
 * @returns W; undefined where nobody knows
 */
export function homeSurplusW(
  { power, batteryPercent, reservePercent }: SiteNow,
  { batteryFirst }: Policy,
): number | undefined {
  const { pvW, gridW, batteryW = 0, loadW, computeW, curtailedW = 0 } = power;
  const chargingW = Math.max(0, -batteryW);
  const dischargingW = Math.max(0, batteryW);
  const isFull = batteryPercent !== undefined && batteryPercent >= FULL_PERCENT;
  // Below the owner's reserve the battery comes first, whatever else the owner says.
  const isBatteryFirst = !isFull && (batteryFirst || (batteryPercent !== undefined && batteryPercent < reservePercent));
  const yieldsW = isBatteryFirst ? 0 : chargingW;
  if (gridW !== undefined) return computeW - gridW - dischargingW + yieldsW + curtailedW;
  if (pvW === undefined || loadW === undefined) return undefined;
  // Without a meter at the grid: what the panels give beyond the home, the battery's charge left out.
  return pvW - loadW - (isBatteryFirst ? chargingW : 0) + curtailedW;
}
