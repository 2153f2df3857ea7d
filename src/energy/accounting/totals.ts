import type { EnergyTotals } from '../../protocol/energy.ts';
import { type EnergyInterval, SOURCES, totalOf } from './interval.ts';
import { embodiedG } from './sci.ts';

/** Sums of energy books: what an island hands in, and what a run adds up. */

export const NO_TOTALS: EnergyTotals = {
  coveredS: 0,
  drawingS: 0,
  tokens: 0,
  computeWh: { pv: 0, battery: 0, grid: 0, unallocated: 0 },
  qualityWh: { measured: 0, modelled: 0, assumed: 0 },
  attributionalG: 0,
  counterfactual: {
    extraImportWh: 0,
    lostExportWh: 0,
    usedSpillWh: 0,
    fromBatteryWh: 0,
    fromHouseholdWh: 0,
    averageG: 0,
    storedDebtWh: 0,
  },
  marginal: { extraImportWh: 0, g: 0, lostExportG: 0 },
  market: { wh: 0, g: 0 },
  cost: [],
  embodiedG: null,
};

/** What making a machine emitted, and how long it is used. */
export interface MachineMade {
  readonly totalG: number;
  readonly lifeHours: number;
}

/** One record as sums. */
export function totalsOfRecord(record: EnergyInterval, made?: MachineMade): EnergyTotals {
  const { computeWh, counterfactual: c, marketG, cost } = record;
  const seconds = (record.endMs - record.startMs) / 1000;
  const wh = totalOf(computeWh);
  const drawingS = wh > 0 ? seconds : 0;
  const reserved = { reservedHours: Math.min(drawingS / 3600, made?.lifeHours ?? 0), share: 1 };
  return {
    coveredS: seconds,
    drawingS,
    tokens: record.tokens ?? 0,
    computeWh,
    qualityWh: { ...NO_TOTALS.qualityWh, [record.quality]: wh },
    attributionalG: totalOf(record.attributionalG),
    counterfactual: {
      extraImportWh: c.extraImportWh,
      lostExportWh: c.lostExportWh,
      usedSpillWh: c.usedSpillWh,
      fromBatteryWh: c.fromBatteryWh,
      fromHouseholdWh: c.fromHouseholdWh,
      averageG: c.averageG,
      storedDebtWh: c.storedDebtWh,
    },
    marginal:
      c.marginalG === null
        ? NO_TOTALS.marginal
        : { extraImportWh: c.extraImportWh, g: c.marginalG, lostExportG: c.lostExportMarginalG ?? 0 },
    market: marketG === null ? NO_TOTALS.market : { wh, g: marketG },
    cost: cost === undefined ? [] : [{ currency: cost.currency, wh: cost.wh, amount: cost.amount }],
    embodiedG: made === undefined ? null : embodiedG({ ...made, ...reserved }),
  };
}

/** @param later of what comes after it, where that counts: what the battery lacks is what it lacks at the end */
export function sumOfTotals(a: EnergyTotals, later: EnergyTotals): EnergyTotals {
  return {
    coveredS: a.coveredS + later.coveredS,
    drawingS: a.drawingS + later.drawingS,
    tokens: a.tokens + later.tokens,
    computeWh: added(a.computeWh, later.computeWh),
    qualityWh: added(a.qualityWh, later.qualityWh),
    attributionalG: a.attributionalG + later.attributionalG,
    counterfactual: {
      ...added(a.counterfactual, later.counterfactual),
      storedDebtWh: later.counterfactual.storedDebtWh,
    },
    marginal: added(a.marginal, later.marginal),
    market: added(a.market, later.market),
    cost: addedCost(a.cost, later.cost),
    embodiedG: a.embodiedG === null && later.embodiedG === null ? null : (a.embodiedG ?? 0) + (later.embodiedG ?? 0),
  };
}

function added<T extends Readonly<Record<string, number>>>(a: T, b: T): T {
  const sum: Record<string, number> = { ...a };
  for (const key of Object.keys(b)) sum[key]! += b[key]!;
  return sum as T;
}

function addedCost(a: EnergyTotals['cost'], b: EnergyTotals['cost']): EnergyTotals['cost'] {
  const sums = new Map(a.map((each) => [each.currency, each]));
  for (const each of b) {
    const before = sums.get(each.currency);
    sums.set(
      each.currency,
      before === undefined ? each : { ...each, wh: before.wh + each.wh, amount: before.amount + each.amount },
    );
  }
  return [...sums.values()];
}

/** What the machine drew, Wh. */
export const drawnWh = ({ computeWh }: EnergyTotals): number =>
  SOURCES.reduce((sum, source) => sum + computeWh[source], 0);
