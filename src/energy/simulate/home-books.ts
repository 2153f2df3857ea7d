import { LIFECYCLE_G_PER_KWH } from '../accounting/index.ts';
import { charged, discharged, type StoredCarbon, storedAt } from '../accounting/stored-carbon.ts';
import { type FlowsBuffer, importWh } from '../home/index.ts';
import { FEED_IN, type FleetHome } from './fleet.ts';

/** Sums of a year in both books, without a record for each hour. */
export interface FleetBooks {
  /** Of compute. */
  pvWh: number;
  batteryWh: number;
  gridWh: number;
  attributionalG: number;
  /** Import that would not have been. */
  extraImportWh: number;
  counterfactualG: number;
  /** The same by marginal intensity; NaN where a zone has none. */
  counterfactualMarginalG: number;
  lostExportWh: number;
  /** What other plants made instead. */
  lostExportMarginalG: number;
  /** Extra import at its hour's price, and the feed-in that was not paid. */
  cost: number;
}

export const emptyBooks = (): FleetBooks => ({
  pvWh: 0,
  batteryWh: 0,
  gridWh: 0,
  attributionalG: 0,
  extraImportWh: 0,
  counterfactualG: 0,
  counterfactualMarginalG: 0,
  lostExportWh: 0,
  lostExportMarginalG: 0,
  cost: 0,
});

export const storedAtFirst = ({ zone }: FleetHome, energyWh: number): StoredCarbon =>
  storedAt(energyWh, zone.averageG[0]!);

/**
 * Adds one hour of a home, by the rules of `accounting/`: what compute had from each source × its intensity; and import with compute − import
 * without.
 *
 * @param i hour of the year
 * @returns what the battery holds of carbon afterwards
 */
export function book(
  books: FleetBooks,
  { home, zone }: FleetHome,
  i: number,
  before: StoredCarbon,
  actual: FlowsBuffer,
  shadow: FlowsBuffer,
): StoredCarbon {
  const averageG = zone.averageG[i]!;
  const marginalG = zone.marginalG?.[i] ?? Number.NaN;
  const { battery } = home;
  let stored = before;
  if (actual.pvToBatteryWh > 0)
    stored = charged(stored, actual.pvToBatteryWh, LIFECYCLE_G_PER_KWH['solar-rooftop'], battery);
  const givenWh = actual.batteryToLoadWh + actual.batteryToComputeWh;
  if (givenWh > 0) {
    const taken = discharged(stored, givenWh, battery, averageG);
    stored = taken.stored;
    books.attributionalG += (taken.grams * actual.batteryToComputeWh) / givenWh;
  }
  books.pvWh += actual.pvToComputeWh;
  books.batteryWh += actual.batteryToComputeWh;
  books.gridWh += actual.gridToComputeWh;
  books.attributionalG +=
    (actual.pvToComputeWh * LIFECYCLE_G_PER_KWH['solar-rooftop'] + actual.gridToComputeWh * averageG) / 1000;
  const extraWh = importWh(actual) - importWh(shadow);
  const lostWh = shadow.pvToGridWh - actual.pvToGridWh;
  books.extraImportWh += extraWh;
  books.counterfactualG += (extraWh / 1000) * averageG;
  books.counterfactualMarginalG += (extraWh / 1000) * marginalG;
  books.lostExportWh += lostWh;
  books.lostExportMarginalG += (lostWh / 1000) * marginalG;
  books.cost += (extraWh * zone.pricePerKWh[i]! + lostWh * FEED_IN) / 1000;
  return stored;
}
