import { z } from 'zod';

/**
 * What an island hands in of its energy books: sums since it took part in the run, and never less than before. So a message that is sent again changes nothing, and
 * one that was lost is in the next. Sums alone travel: no times, no meters, and nothing of the household.
 */

const amount = z.number().min(0).max(1e12);
const change = z.number().min(-1e12).max(1e12);

/** Of one account of one island. Energy in Wh, emissions in gCO2e. */
export const energyTotalsSchema = z.object({
  /** For how long the books were kept, and for how long of it the machine drew anything. */
  coveredS: amount,
  drawingS: amount,
  /** Tokens, or examples, that were trained meanwhile. */
  tokens: z.int().min(0),
  /** What the machine drew, by physical source; `unallocated` is what no source explains. */
  computeWh: z.object({ pv: amount, battery: amount, grid: amount, unallocated: amount }),
  /** The same energy, by the worst of what each interval rests on. */
  qualityWh: z.object({ measured: amount, modelled: amount, assumed: amount }),
  /** Location-based, with average intensity. */
  attributionalG: amount,
  /** The same home without compute: what is different. The first five add up to what the machine drew. */
  counterfactual: z.object({
    extraImportWh: change,
    lostExportWh: change,
    usedSpillWh: change,
    fromBatteryWh: change,
    fromHouseholdWh: change,
    /** Extra import × average intensity. */
    averageG: change,
    /** What the battery holds less than it would, now: no sum. */
    storedDebtWh: change,
  }),
  /** Where the marginal intensity was known: never added to the average. */
  marginal: z.object({ extraImportWh: change, g: change, lostExportG: change }),
  /** Market-based, for the energy that has a contract. */
  market: z.object({ wh: amount, g: amount }),
  /** What the grid's part cost, by currency (ISO 4217). A price may be negative. */
  cost: z.array(z.object({ currency: z.string().regex(/^[A-Z]{3}$/), wh: amount, amount: change })).max(4),
  /** Of making the machine, for the time in which it drew; null where the owner does not say. */
  embodiedG: amount.nullable(),
});
export type EnergyTotals = z.output<typeof energyTotalsSchema>;

export const handInSchema = z.object({
  /** Drawn by lot when the island begins to count: after its files were lost it counts in another. */
  account: z.string().regex(/^[a-z0-9]{8,32}$/),
  totals: energyTotalsSchema,
});
export type EnergyHandIn = z.output<typeof handInSchema>;
