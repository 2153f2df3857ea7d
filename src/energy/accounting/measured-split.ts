import { HelioError } from '../../errors.ts';

/** Energy of one interval as meters of a home say it, all ≥ 0. */
export interface MeasuredHome {
  readonly pvWh: number;
  readonly importWh: number;
  readonly exportWh: number;
  readonly chargeWh: number;
  readonly dischargeWh: number;
}

/** Which source gave what. */
export interface MeasuredSplit {
  readonly pvWh: number;
  readonly batteryWh: number;
  readonly gridWh: number;
  /** What none of the meters explains. */
  readonly unallocatedWh: number;
  readonly pvToBatteryWh: number;
  readonly gridToBatteryWh: number;
  readonly householdWh: number;
}

/**
 * Divides what a home's meters say between household and compute, by the same order as balance.ts: the household has the sun first, then the
 * battery; compute has what is left of them, then the grid. What the sum of the sources does not reach stays `unallocated`.
 *
 * @param computeWh what the machine's own meter says
 * @throws HelioError HELIO-1012 for a figure that is negative or unknown
 */
export function splitMeasured(home: MeasuredHome, computeWh: number): MeasuredSplit {
  for (const [name, value] of Object.entries({ ...home, computeWh })) {
    if (value >= 0 && value < Number.POSITIVE_INFINITY) continue;
    throw new HelioError(
      'HELIO-1012',
      `${name} of the interval is ${value}.`,
      'Energy of an interval is 0 Wh or more; one that a meter did not see is left out, and the model stands in for it.',
    );
  }
  const { pvWh, importWh, exportWh, chargeWh, dischargeWh } = home;
  const householdWh = Math.max(0, pvWh + importWh + dischargeWh - exportWh - chargeWh - computeWh);
  const pvToLoad = Math.min(pvWh, householdWh);
  const pv = Math.min(pvWh - pvToLoad, computeWh);
  const pvToBattery = Math.min(pvWh - pvToLoad - pv, chargeWh);
  const batteryToLoad = Math.min(dischargeWh, householdWh - pvToLoad);
  const battery = Math.min(dischargeWh - batteryToLoad, computeWh - pv);
  const gridToLoad = Math.min(importWh, householdWh - pvToLoad - batteryToLoad);
  const grid = Math.min(importWh - gridToLoad, computeWh - pv - battery);
  return {
    pvWh: pv,
    batteryWh: battery,
    gridWh: grid,
    unallocatedWh: computeWh - pv - battery - grid,
    pvToBatteryWh: pvToBattery,
    gridToBatteryWh: chargeWh - pvToBattery,
    householdWh,
  };
}
