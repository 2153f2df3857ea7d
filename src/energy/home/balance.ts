import { HelioError } from '../../errors.ts';
import { type Battery, type BatteryState, checkBattery, checkStored } from './battery.ts';
import { checkNumber, MOST_W, WATTS } from './check.ts';

/** What compute may take energy from, as the policy says. */
export interface ComputeMayUse {
  readonly pv: boolean;
  readonly battery: boolean;
  readonly grid: boolean;
}

/** Who gets the sun that the household leaves. */
export type PvOrder = 'compute-first' | 'battery-first';

/** What does not change from step to step. */
export interface Home {
  readonly battery: Battery;
  /** Never taken by compute, and by the household only while the grid is lost; see reserve.ts. */
  readonly reserveWh: number;
  /** The most that may go to the grid; Infinity where nobody limits it. */
  readonly exportLimitW: number;
  /** The most that the connection gives; Infinity where nobody limits it. */
  readonly importLimitW: number;
}

/** Mean powers over one step, and what the policy allows in it. */
export interface HomeStep {
  readonly hours: number;
  readonly pvW: number;
  /** Of the household, without the island's machine. */
  readonly loadW: number;
  /** What the island's machine asks for. */
  readonly computeW: number;
  readonly computeMayUse: ComputeMayUse;
  readonly pvOrder: PvOrder;
  /** Charge the battery from the grid, up to this; it then does not discharge. 0 as a rule. */
  readonly gridChargeW: number;
  readonly gridConnected: boolean;
}

/** Where each watt-hour of a step went: all ≥ 0 but `storedWh`. */
export interface HomeFlows {
  readonly pvToLoadWh: number;
  readonly pvToComputeWh: number;
  readonly pvToBatteryWh: number;
  readonly pvToGridWh: number;
  /** What the inverter throws away. */
  readonly curtailedWh: number;
  readonly batteryToLoadWh: number;
  readonly batteryToComputeWh: number;
  readonly gridToLoadWh: number;
  readonly gridToComputeWh: number;
  readonly gridToBatteryWh: number;
  /** What the household asked for, and nothing could give. */
  readonly unservedLoadWh: number;
  /** What compute asked for, and was not allowed or not there. */
  readonly unservedComputeWh: number;
  /** Lost in charging and discharging. */
  readonly batteryLossWh: number;
  /** Change of what the battery holds. */
  readonly storedWh: number;
  readonly energyWh: number;
}

/** The loop over a year writes into one of these again and again. */
export type FlowsBuffer = { -readonly [Key in keyof HomeFlows]: number };

export const emptyFlows = (energyWh = 0): FlowsBuffer => ({
  pvToLoadWh: 0,
  pvToComputeWh: 0,
  pvToBatteryWh: 0,
  pvToGridWh: 0,
  curtailedWh: 0,
  batteryToLoadWh: 0,
  batteryToComputeWh: 0,
  gridToLoadWh: 0,
  gridToComputeWh: 0,
  gridToBatteryWh: 0,
  unservedLoadWh: 0,
  unservedComputeWh: 0,
  batteryLossWh: 0,
  storedWh: 0,
  energyWh,
});

export const importWh = (flows: HomeFlows): number =>
  flows.gridToLoadWh + flows.gridToComputeWh + flows.gridToBatteryWh;

export const computeWh = (flows: HomeFlows): number =>
  flows.pvToComputeWh + flows.batteryToComputeWh + flows.gridToComputeWh;

/**
 * One step of a home: the household first, then compute, then the battery, then the grid (or the battery before compute, as `pvOrder` says).
 * Nothing is lost: PV + import = served load + served compute + export + curtailed + stored + lost in the battery.
 *
 * @throws HelioError HELIO-1010 for a figure that no home has; a gap (NaN) is never taken for 0
 */
export function balance(home: Home, { energyWh }: BatteryState, step: HomeStep): HomeFlows {
  checkHome(home);
  checkStored(home.battery, energyWh);
  checkNumber('hours', step.hours, HOURS);
  checkNumber('gridChargeW', step.gridChargeW, WATTS);
  const flows = emptyFlows(energyWh);
  balanceInto(home, step, flows);
  return flows;
}

const HOURS = { min: 1e-6, max: 24, unit: 'h', remedy: 'Give steps of a second to a day: 0.25 for 15 minutes.' };

/** @throws HelioError HELIO-1010 naming the first figure that no home has */
export function checkHome({ battery, reserveWh, exportLimitW, importLimitW }: Home): void {
  checkBattery(battery);
  checkNumber('reserveWh', reserveWh, {
    min: 0,
    max: battery.capacityWh,
    unit: "Wh, the battery's capacity",
    remedy: 'reserveWh() computes it from a share and from hours of outage.',
  });
  if (exportLimitW !== Number.POSITIVE_INFINITY) checkNumber('exportLimitW', exportLimitW, WATTS);
  if (importLimitW !== Number.POSITIVE_INFINITY) checkNumber('importLimitW', importLimitW, WATTS);
}

/**
 * {@link balance} without an allocation, for loops: reads the battery's energy from `flows`, and leaves there where everything went.
 *
 * @param home checked by {@link checkHome}
 * @throws HelioError HELIO-1010 for a power that is negative, NaN or beyond any home's
 */
export function balanceInto(home: Home, step: HomeStep, flows: FlowsBuffer): void {
  const { battery, reserveWh } = home;
  const { hours, computeMayUse, gridConnected } = step;
  if (!(isPower(step.pvW) && isPower(step.loadW) && isPower(step.computeW))) refuse(step);
  const heldWh = flows.energyWh;
  const pv = step.pvW * hours;
  const load = step.loadW * hours;
  const compute = step.computeW * hours;

  const chargeable = Math.min(
    battery.maxChargeW * hours,
    Math.max(0, battery.capacityWh - heldWh) / battery.chargeEfficiency,
  );
  const gridCharge = gridConnected ? step.gridChargeW * hours : 0;
  // While the battery is charged from the grid it gives nothing. The household may have the reserve when there is no grid, compute never.
  const dischargeable = gridCharge > 0 ? 0 : battery.maxDischargeW * hours;
  const above = Math.max(0, heldWh - reserveWh) * battery.dischargeEfficiency;
  const forLoad = Math.min(dischargeable, gridConnected ? above : heldWh * battery.dischargeEfficiency);

  // The sun.
  const pvToLoad = Math.min(pv, load);
  const surplus = pv - pvToLoad;
  let pvToCompute = 0;
  if (computeMayUse.pv)
    pvToCompute = Math.min(
      compute,
      step.pvOrder === 'compute-first' ? surplus : surplus - Math.min(surplus, chargeable),
    );
  let pvToBattery = Math.min(surplus - pvToCompute, chargeable);
  if (computeMayUse.battery && pvToBattery > 0) {
    // No battery charges and discharges at once: what it would hand on in the same moment goes past it.
    pvToCompute += Math.min(pvToBattery, compute - pvToCompute, dischargeable, above);
    pvToBattery = Math.min(surplus - pvToCompute, chargeable);
  }
  const spare = surplus - pvToCompute - pvToBattery;
  const pvToGrid = gridConnected ? Math.min(spare, home.exportLimitW * hours) : 0;

  // The battery.
  const batteryToLoad = Math.min(load - pvToLoad, forLoad);
  const batteryToCompute =
    computeMayUse.battery && pvToBattery === 0
      ? Math.min(compute - pvToCompute, Math.max(0, Math.min(dischargeable, above) - batteryToLoad))
      : 0;

  // The grid.
  const importable = gridConnected ? home.importLimitW * hours : 0;
  const gridToLoad = Math.min(load - pvToLoad - batteryToLoad, importable);
  const gridToCompute = computeMayUse.grid
    ? Math.min(compute - pvToCompute - batteryToCompute, importable - gridToLoad)
    : 0;
  const gridToBattery =
    gridCharge > 0 ? Math.min(gridCharge, chargeable - pvToBattery, importable - gridToLoad - gridToCompute) : 0;

  const charged = pvToBattery + gridToBattery;
  const discharged = batteryToLoad + batteryToCompute;
  const stored = charged * battery.chargeEfficiency - discharged / battery.dischargeEfficiency;
  flows.pvToLoadWh = pvToLoad;
  flows.pvToComputeWh = pvToCompute;
  flows.pvToBatteryWh = pvToBattery;
  flows.pvToGridWh = pvToGrid;
  flows.curtailedWh = spare - pvToGrid;
  flows.batteryToLoadWh = batteryToLoad;
  flows.batteryToComputeWh = batteryToCompute;
  flows.gridToLoadWh = gridToLoad;
  flows.gridToComputeWh = gridToCompute;
  flows.gridToBatteryWh = gridToBattery;
  flows.unservedLoadWh = load - pvToLoad - batteryToLoad - gridToLoad;
  flows.unservedComputeWh = compute - pvToCompute - batteryToCompute - gridToCompute;
  flows.batteryLossWh = charged - discharged - stored;
  flows.storedWh = stored;
  // Rounding may leave it a hair beyond its bounds.
  flows.energyWh = Math.min(battery.capacityWh, Math.max(0, heldWh + stored));
}

const isPower = (value: number): boolean => value >= 0 && value <= MOST_W;

function refuse(step: HomeStep): never {
  for (const name of ['pvW', 'loadW', 'computeW'] as const) checkNumber(name, step[name], WATTS);
  throw new HelioError('HELIO-1010', 'A power of the step cannot be.', 'Give watts, 0 or more.');
}
