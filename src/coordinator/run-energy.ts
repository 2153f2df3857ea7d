import { z } from 'zod';
import {
  drawnWh,
  estimateEnergy,
  NO_TOTALS,
  networkEnergy,
  SUSTAINABLE_WEB_DESIGN,
  sumOfTotals,
} from '../energy/accounting/index.ts';
import type { EnergyTotals } from '../protocol/energy.ts';
import type { Progress } from '../protocol/messages.ts';
import { islandTotals } from './energy-state.ts';
import { totalProgress } from './membership.ts';
import type { Island } from './state.ts';

/**
 * What a run has used and emitted so far: by the books of the islands that keep them, and where nobody measured or modelled anything by CPU seconds (assumed). The
 * coordinator and the network count too. Average and marginal, location-based and market-based stand beside each other, and are never added.
 */

const amount = z.number();
const bySource = z.object({ pv: amount, battery: amount, grid: amount, unallocated: amount });
const byQuality = z.object({ measured: amount, modelled: amount, assumed: amount });

/** Energy in Wh, emissions in gCO2e. Both sums by source and by quality are `totalWh`; what was estimated is `unallocated` and `assumed`. */
const shareFields = {
  totalWh: amount,
  /** Of it, what is in no books. */
  estimatedWh: amount,
  computeWh: bySource,
  qualityWh: byQuality,
  /** Location-based, with average intensity. */
  attributionalG: amount,
  /** What was emitted that would not have been without the run, with average intensity; without the network's part, of which nobody knows. */
  counterfactualG: amount,
  /** Where it is known. */
  marginal: z.object({ extraImportWh: amount, g: amount, lostExportG: amount }),
  market: z.object({ wh: amount, g: amount }),
  cost: z.array(z.object({ currency: z.string(), wh: amount, amount })),
  /** Of making machines, for the time in which they trained; null where no owner says it. */
  embodiedG: amount.nullable(),
  /** What batteries hold less than they would: import that is still to come. */
  storedDebtWh: amount,
};

export const islandShareSchema = z.object({
  ...shareFields,
  /** For how long its books were kept; 0 of an island without. */
  coveredS: amount,
  /** Why its newest claim is not counted. */
  refused: z.string().nullable(),
});
export type IslandShare = z.output<typeof islandShareSchema>;

export const runEnergySchema = z.object({
  ...shareFields,
  parts: z.object({ islandsWh: amount, coordinatorWh: amount, networkWh: amount }),
  /** Islands that have trained, those of them that keep books, and those whose owner says what making the machine emitted. */
  islands: z.int(),
  withBooks: z.int(),
  withEmbodied: z.int(),
});
export type RunEnergy = z.output<typeof runEnergySchema>;

/** The last fallback: the run file's `energy`. */
export interface Factors {
  readonly wattsPerCore: number;
  readonly intensityGPerKWh: number;
}

export interface Used {
  readonly islands: Iterable<Worker>;
  readonly coordinatorCpuS: number;
  /** Over a network; what one process says to another on the same machine does not count. */
  readonly networkBytes: number;
}

type Worker = Pick<Island, 'progress' | 'past' | 'energy'>;

/** What an island has used: by its books, and of work that is not in them by its CPU seconds. */
export function islandShare(island: Worker, factors: Factors): IslandShare {
  const books = island.energy === undefined ? NO_TOTALS : islandTotals(island.energy);
  const estimated = estimateOf(cpuOutside(totalProgress(island), books), factors);
  return {
    ...shareOf(sumOfTotals(estimated, books)),
    estimatedWh: drawnWh(estimated),
    coveredS: books.coveredS,
    refused: island.energy?.refused?.reason ?? null,
  };
}

/** CPU seconds of the share of its work for which there are no books (yet). */
function cpuOutside(progress: Progress | null, books: EnergyTotals): number {
  if (progress === null) return 0;
  const { computeS, exchangeS, evaluateS, cpuS } = progress;
  const busyS = computeS + exchangeS + evaluateS;
  if (books.drawingS === 0) return cpuS;
  return busyS > books.drawingS ? cpuS * (1 - books.drawingS / busyS) : 0;
}

/** Nobody knows its source: as if all came from the grid. */
function estimateOf(cpuS: number, { wattsPerCore, intensityGPerKWh }: Factors): EnergyTotals {
  const { energyWh, gCO2e } = estimateEnergy(cpuS, wattsPerCore, intensityGPerKWh);
  return assumed(energyWh, gCO2e, { ...NO_TOTALS.counterfactual, extraImportWh: energyWh, averageG: gCO2e });
}

const assumed = (wh: number, g: number, counterfactual: EnergyTotals['counterfactual']): EnergyTotals => ({
  ...NO_TOTALS,
  computeWh: { ...NO_TOTALS.computeWh, unallocated: wh },
  qualityWh: { ...NO_TOTALS.qualityWh, assumed: wh },
  attributionalG: g,
  counterfactual,
});

export function runEnergy(used: Used, factors: Factors): RunEnergy {
  return withHost(islandsEnergy(used.islands), used, factors);
}

/** What all islands have used, before it is known what the coordinator and the network add. */
export interface IslandsEnergy {
  readonly books: EnergyTotals;
  /** CPU seconds of work that is in no books. */
  readonly outsideCpuS: number;
  readonly storedDebtWh: number;
  readonly islands: number;
  readonly withBooks: number;
  readonly withEmbodied: number;
}

export function islandsEnergy(all: Iterable<Worker>): IslandsEnergy {
  let books = NO_TOTALS;
  let [outsideCpuS, storedDebtWh, islands, withBooks, withEmbodied] = [0, 0, 0, 0, 0];
  for (const island of all) {
    const progress = totalProgress(island);
    const own = island.energy === undefined ? NO_TOTALS : islandTotals(island.energy);
    outsideCpuS += cpuOutside(progress, own);
    if (own !== NO_TOTALS) {
      books = sumOfTotals(books, own);
      storedDebtWh += own.counterfactual.storedDebtWh;
    }
    const drawn = drawnWh(own);
    if ((progress?.tokens ?? 0) === 0 && drawn === 0) continue;
    islands++;
    if (drawn > 0) withBooks++;
    if (own.embodiedG !== null) withEmbodied++;
  }
  return { books, outsideCpuS, storedDebtWh, islands, withBooks, withEmbodied };
}

export function withHost(
  { books, outsideCpuS, storedDebtWh, ...counts }: IslandsEnergy,
  { coordinatorCpuS, networkBytes }: Omit<Used, 'islands'>,
  factors: Factors,
): RunEnergy {
  const estimated = estimateOf(outsideCpuS, factors);
  const coordinator = estimateOf(coordinatorCpuS, factors);
  const { wh: networkWh } = networkEnergy(networkBytes, SUSTAINABLE_WEB_DESIGN);
  // Networks draw nearly the same with and without our bytes: nothing of it is known to be caused.
  const network = assumed(networkWh, (networkWh / 1000) * factors.intensityGPerKWh, NO_TOTALS.counterfactual);
  const coordinatorWh = drawnWh(coordinator);
  return {
    ...shareOf([estimated, coordinator, network].reduce(sumOfTotals, books)),
    storedDebtWh,
    estimatedWh: drawnWh(estimated) + coordinatorWh + networkWh,
    parts: { islandsWh: drawnWh(books) + drawnWh(estimated), coordinatorWh, networkWh },
    ...counts,
  };
}

function shareOf(all: EnergyTotals) {
  const { computeWh, qualityWh, attributionalG, counterfactual, marginal, market, cost, embodiedG } = all;
  return {
    totalWh: drawnWh(all),
    computeWh,
    qualityWh,
    attributionalG,
    counterfactualG: counterfactual.averageG,
    marginal,
    market,
    cost,
    embodiedG,
    storedDebtWh: counterfactual.storedDebtWh,
  };
}
