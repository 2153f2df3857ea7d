import { batteryOf, checkHome, type Home, NO_BATTERY, reserveWh } from '../home/index.ts';
import type { Site } from './site-schema.ts';

/**
 * What does not change of a site's wires: its battery, its owner's reserve, and the limits of its connection.
 *
 * @throws HelioError HELIO-1010 for a figure that no home has; a site that was parsed has none
 */
export function homeOf({ battery: has, household, solar, grid }: Site): Home {
  const battery =
    has === undefined ? NO_BATTERY : batteryOf(has.capacityWh, has.chargeW, has.dischargeW, has.roundTripEfficiency);
  const wish = {
    minimumShare: (has?.reservePercent ?? 0) / 100,
    outageHours: has?.outageHours ?? 0,
    baseLoadW: household.averageW,
  };
  const home = {
    battery,
    reserveWh: reserveWh(battery, wish),
    exportLimitW: solar?.exportLimitW ?? Number.POSITIVE_INFINITY,
    importLimitW: grid.importLimitW ?? Number.POSITIVE_INFINITY,
  };
  checkHome(home);
  return home;
}

/** The charge below which no training goes, outages thought of, in % of the battery's capacity; 0 without a battery. */
export const reservePercentOf = ({ battery, reserveWh }: Home): number =>
  battery.capacityWh === 0 ? 0 : (100 * reserveWh) / battery.capacityWh;
