import type { Origin } from '../figure.ts';
import { balance, type Home, type HomeFlows, type HomeStep, importWh } from '../home/balance.ts';
import { type Battery, type BatteryState, NO_BATTERY } from '../home/battery.ts';
import { ALL_SOURCES } from '../home/run.ts';
import {
  type AverageIntensity,
  averageG,
  type ContractIntensity,
  contractG,
  type MarginalIntensity,
  marginalG,
  ROOFTOP_PV,
} from './intensity.ts';
import { type BySource, type EnergyInterval, qualityOf } from './interval.ts';
import { type MeasuredHome, splitMeasured } from './measured-split.ts';
import { anchored, charged, discharged, type StoredCarbon, storedAt } from './stored-carbon.ts';

/**
 * What is carried from interval to interval: the home as it is, and its shadow, the same home without compute. Both go by the same model of the
 * battery, so that what the model gets wrong is in both and not in their difference.
 */
export interface HomeAccount {
  readonly actual: BatteryState;
  readonly shadow: BatteryState;
  readonly stored: StoredCarbon;
}

/** @param average of the grid: what the battery held before is counted as if it came from there */
export const openAccount = (energyWh: number, average: AverageIntensity): HomeAccount => ({
  actual: { energyWh },
  shadow: { energyWh },
  stored: storedAt(energyWh, average.gPerKWh),
});

/** A machine without a home: a coordinator in a data centre, a network. */
export const GRID_ONLY: Home = {
  battery: NO_BATTERY,
  reserveWh: 0,
  exportLimitW: Number.POSITIVE_INFINITY,
  importLimitW: Number.POSITIVE_INFINITY,
};

export interface IntervalInput {
  readonly part: EnergyInterval['part'];
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly tokens: number;
  /** `computeW` is what the machine drew by its meter, else by its model: the sum of the sources will be that. */
  readonly step: Omit<HomeStep, 'hours'>;
  readonly energyOrigin: Origin;
  readonly splitOrigin: Origin;
  /** By the home's meters, where they are: they divide the energy, and give the step's sun and household. */
  readonly measured?: MeasuredHome;
  /** What the battery's meter said at the start. */
  readonly measuredBatteryWh?: number;
  readonly average: AverageIntensity;
  readonly marginal?: MarginalIntensity;
  readonly contract?: ContractIntensity;
  /** Default {@link ROOFTOP_PV}. */
  readonly pv?: AverageIntensity;
}

/** A step of a machine that has the grid alone. */
export const gridStep = (computeW: number): IntervalInput['step'] => ({
  pvW: 0,
  loadW: 0,
  computeW,
  computeMayUse: ALL_SOURCES,
  pvOrder: 'compute-first',
  gridChargeW: 0,
  gridConnected: true,
});

/**
 * One interval of a home in both books.
 *
 * Attributional: the household has the sun first; what compute had from each source × that source's intensity. Counterfactual: import with compute −
 * import without. Compute on the sun's surplus has little in the first book and more in the second, as the battery is emptier in the evening: also
 * intervals without compute have a counterfactual part then.
 *
 * @throws HelioError HELIO-1010 or HELIO-1012 for figures that cannot be
 */
export function accountInterval(
  home: Home,
  account: HomeAccount,
  input: IntervalInput,
): { readonly account: HomeAccount; readonly record: EnergyInterval } {
  const { battery } = home;
  const { startMs, endMs, average, measured, energyOrigin, splitOrigin, pv = ROOFTOP_PV } = input;
  const hours = (endMs - startMs) / 3_600_000;
  const drawnWh = input.step.computeW * hours;
  const split = measured === undefined ? undefined : splitMeasured(measured, drawnWh);
  const step: HomeStep =
    measured === undefined || split === undefined
      ? { ...input.step, hours }
      : { ...input.step, hours, pvW: measured.pvWh / hours, loadW: split.householdWh / hours };

  const before = withMeter(account, battery, input.measuredBatteryWh, average);
  const actual = balance(home, before.actual, step);
  const shadow = balance(home, before.shadow, { ...step, computeW: 0 });

  const sources = split ?? modelledSplit(actual);
  const chargedUp = charged(
    charged(before.stored, sources.pvToBatteryWh, pv.gPerKWh, battery),
    sources.gridToBatteryWh,
    average.gPerKWh,
    battery,
  );
  const dischargedWh = measured?.dischargeWh ?? actual.batteryToLoadWh + actual.batteryToComputeWh;
  const taken = discharged(chargedUp, dischargedWh, battery, average.gPerKWh);
  const batteryGPerKWh = dischargedWh > 0 ? (taken.grams / dischargedWh) * 1000 : 0;

  const wh: BySource = {
    pv: sources.pvWh,
    battery: sources.batteryWh,
    grid: sources.gridWh,
    unallocated: Math.max(0, sources.unallocatedWh),
  };
  const attributionalG: BySource = {
    pv: averageG(wh.pv, pv),
    battery: (wh.battery / 1000) * batteryGPerKWh,
    grid: averageG(wh.grid, average),
    unallocated: averageG(wh.unallocated, average),
  };
  const { contract } = input;
  const record = {
    version: 1 as const,
    part: input.part,
    name: input.name,
    startMs,
    endMs,
    zone: average.zone,
    tokens: input.tokens,
    computeWh: wh,
    energyOrigin,
    splitOrigin,
    average,
    pvGPerKWh: pv.gPerKWh,
    batteryGPerKWh,
    marginal: input.marginal ?? null,
    contract: contract ?? null,
    attributionalG,
    marketG:
      contract === undefined
        ? null
        : attributionalG.pv + attributionalG.battery + contractG(wh.grid + wh.unallocated, contract),
    counterfactual: counterfactualOf(actual, shadow, input),
  };
  const stored = measured === undefined ? { energyWh: actual.energyWh, grams: taken.stored.grams } : taken.stored;
  return {
    account: { actual: { energyWh: actual.energyWh }, shadow: { energyWh: shadow.energyWh }, stored },
    record: { ...record, quality: qualityOf(record) },
  };
}

/** What the meter says that the battery holds is true; the shadow keeps its distance. */
function withMeter(
  account: HomeAccount,
  battery: Battery,
  measuredWh: number | undefined,
  average: AverageIntensity,
): HomeAccount {
  if (measuredWh === undefined) return account;
  const debtWh = account.shadow.energyWh - account.actual.energyWh;
  return {
    actual: { energyWh: measuredWh },
    shadow: { energyWh: Math.min(battery.capacityWh, Math.max(0, measuredWh + debtWh)) },
    stored: anchored(account.stored, measuredWh, average.gPerKWh),
  };
}

/** What the model could not serve was drawn all the same, as the meter says: nothing explains it. */
const modelledSplit = (flows: HomeFlows) => ({
  pvWh: flows.pvToComputeWh,
  batteryWh: flows.batteryToComputeWh,
  gridWh: flows.gridToComputeWh,
  unallocatedWh: flows.unservedComputeWh,
  pvToBatteryWh: flows.pvToBatteryWh,
  gridToBatteryWh: flows.gridToBatteryWh,
});

function counterfactualOf(
  actual: HomeFlows,
  shadow: HomeFlows,
  { average, marginal }: IntervalInput,
): EnergyInterval['counterfactual'] {
  const extraImportWh = importWh(actual) - importWh(shadow) + actual.unservedComputeWh;
  const lostExportWh = shadow.pvToGridWh - actual.pvToGridWh;
  return {
    extraImportWh,
    lostExportWh,
    usedSpillWh: shadow.curtailedWh - actual.curtailedWh,
    fromBatteryWh: shadow.storedWh + shadow.batteryLossWh - actual.storedWh - actual.batteryLossWh,
    fromHouseholdWh: actual.unservedLoadWh - shadow.unservedLoadWh,
    averageG: averageG(extraImportWh, average),
    marginalG: marginal === undefined ? null : marginalG(extraImportWh, marginal),
    lostExportMarginalG: marginal === undefined ? null : marginalG(lostExportWh, marginal),
    storedDebtWh: shadow.energyWh - actual.energyWh,
  };
}
