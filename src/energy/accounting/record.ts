import type { Origin } from '../figure.ts';
import { emptyFlows, type FlowsBuffer, type HomeFlows, importWh } from '../home/balance.ts';
import type { Battery } from '../home/battery.ts';
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
import type { MeasuredSplit } from './measured-split.ts';
import { charged, discharged, type StoredCarbon } from './stored-carbon.ts';

/** Which source gave what to compute and to the battery, and what the battery gave in all. */
export type Sources = Omit<MeasuredSplit, 'householdWh'> & { readonly dischargeWh: number };

/** Of a home and its shadow, the same home without compute: where each watt-hour went in a stretch of time. */
export interface Flows {
  readonly actual: HomeFlows;
  readonly shadow: HomeFlows;
  readonly sources: Sources;
}

export const sourcesOf = (flows: HomeFlows): Sources => ({
  pvWh: flows.pvToComputeWh,
  batteryWh: flows.batteryToComputeWh,
  gridWh: flows.gridToComputeWh,
  // What the model could not serve was drawn all the same, as the meter says: nothing explains it.
  unallocatedWh: flows.unservedComputeWh,
  pvToBatteryWh: flows.pvToBatteryWh,
  gridToBatteryWh: flows.gridToBatteryWh,
  dischargeWh: flows.batteryToLoadWh + flows.batteryToComputeWh,
});

/** Two stretches as one; the battery holds what it holds at the end of the later one. */
export const sumOf = (a: Flows, b: Flows): Flows => ({
  actual: added(a.actual, b.actual),
  shadow: added(a.shadow, b.shadow),
  sources: Object.fromEntries(
    Object.entries(a.sources).map(([key, wh]) => [key, wh + b.sources[key as keyof Sources]]),
  ) as unknown as Sources,
});

function added(a: HomeFlows, b: HomeFlows): HomeFlows {
  const sum: FlowsBuffer = emptyFlows();
  for (const key of Object.keys(sum) as (keyof HomeFlows)[]) sum[key] = a[key] + b[key];
  sum.energyWh = b.energyWh;
  return sum;
}

export interface Tariff {
  readonly perKWh: number;
  /** ISO 4217. */
  readonly currency: string;
}

/** What a record says beside its energy. */
export interface About {
  readonly part: EnergyInterval['part'];
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Null where nobody counted them. */
  readonly tokens: number | null;
  readonly energyOrigin: Origin;
  readonly splitOrigin: Origin;
  readonly average: AverageIntensity;
  readonly marginal?: MarginalIntensity;
  readonly contract?: ContractIntensity;
  /** What a kWh of the grid costs. */
  readonly tariff?: Tariff;
  /** Default {@link ROOFTOP_PV}. */
  readonly pv?: AverageIntensity;
}

/** Flows as a record in both books, and what the battery holds of carbon afterwards. */
export function recordOf(
  battery: Battery,
  before: StoredCarbon,
  { actual, shadow, sources }: Flows,
  about: About,
): { readonly stored: StoredCarbon; readonly record: EnergyInterval } {
  const { average, contract, pv = ROOFTOP_PV } = about;
  const chargedUp = charged(
    charged(before, sources.pvToBatteryWh, pv.gPerKWh, battery),
    sources.gridToBatteryWh,
    average.gPerKWh,
    battery,
  );
  const { dischargeWh } = sources;
  const taken = discharged(chargedUp, dischargeWh, battery, average.gPerKWh);
  const batteryGPerKWh = dischargeWh > 0 ? (taken.grams / dischargeWh) * 1000 : 0;
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
  const record = {
    version: 1 as const,
    part: about.part,
    name: about.name,
    startMs: about.startMs,
    endMs: about.endMs,
    zone: average.zone,
    tokens: about.tokens,
    computeWh: wh,
    energyOrigin: about.energyOrigin,
    splitOrigin: about.splitOrigin,
    average,
    pvGPerKWh: pv.gPerKWh,
    batteryGPerKWh,
    marginal: about.marginal ?? null,
    contract: contract ?? null,
    attributionalG,
    marketG:
      contract === undefined
        ? null
        : attributionalG.pv + attributionalG.battery + contractG(wh.grid + wh.unallocated, contract),
    ...(about.tariff === undefined ? {} : { cost: costOf(wh.grid + wh.unallocated, about.tariff) }),
    counterfactual: counterfactualOf(actual, shadow, about),
  };
  return { stored: taken.stored, record: { ...record, quality: qualityOf(record) } };
}

const costOf = (wh: number, { perKWh, currency }: Tariff) => ({ perKWh, currency, wh, amount: (wh / 1000) * perKWh });

function counterfactualOf(
  actual: HomeFlows,
  shadow: HomeFlows,
  { average, marginal }: About,
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
