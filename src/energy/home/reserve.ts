import type { Battery } from './battery.ts';
import { checkNumber, WATTS } from './check.ts';

/** What the owner keeps back, for the evening and for a grid that fails. */
export interface ReserveWish {
  /** Of the capacity, 0 to 1: never less than this. */
  readonly minimumShare: number;
  /** How long the home must live on its battery; 0 where outages are not thought of. A storm warning raises it. */
  readonly outageHours: number;
  /** What the home cannot do without, W. */
  readonly baseLoadW: number;
}

const SHARE = { min: 0, max: 1, unit: '(a share)', remedy: 'Give a share of the capacity: 0.2 for 20 %.' };
const OUTAGE = { min: 0, max: 24 * 31, unit: 'h', remedy: 'Give hours, 0 where no outage is to be lived through.' };

/**
 * reserve = max(minimum, outage hours × base load), at most the capacity: what no compute and, while the grid is there, no household
 * load takes from the battery.
 *
 * @throws HelioError HELIO-1010
 */
export function reserveWh(battery: Battery, { minimumShare, outageHours, baseLoadW }: ReserveWish): number {
  checkNumber('minimumShare', minimumShare, SHARE);
  checkNumber('outageHours', outageHours, OUTAGE);
  checkNumber('baseLoadW', baseLoadW, WATTS);
  // The home draws after the loss of discharging: the store must hold that much more.
  const outageWh = (outageHours * baseLoadW) / battery.dischargeEfficiency;
  return Math.min(battery.capacityWh, Math.max(minimumShare * battery.capacityWh, outageWh));
}

/** Hours that the battery carries `loadW` by itself, down to `floorWh`; Infinity without a load. */
export function hoursLeft(battery: Battery, energyWh: number, floorWh: number, loadW: number): number {
  const givesWh = Math.max(0, energyWh - floorWh) * battery.dischargeEfficiency;
  return loadW > 0 ? givesWh / loadW : Number.POSITIVE_INFINITY;
}
