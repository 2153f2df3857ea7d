import { z } from 'zod';

/**
 * What an island expects to have for training, and what the run plans for it, hour by hour. Of a home only what it leaves to training is told, never what it
 * uses: that would say when somebody is there.
 */

/** Most hours that are told and planned. */
export const MOST_HOURS = 72;

const HOUR_S = 3_600;
const watts = z.number().min(0).max(1e7);
const perHour = <T extends z.ZodType>(value: T) => z.array(value).min(1).max(MOST_HOURS);
/** Unix time of a full hour, UTC. */
const fullHour = z
  .int()
  .min(0)
  .max(8.64e12)
  .refine((atS) => atS % HOUR_S === 0, 'it is no full hour');

export const islandForecastSchema = z
  .object({
    startS: fullHour,
    /** Power that its own sun leaves to training: the likeliest, and the 10th and 90th percentile. */
    sunW: z.object({ low: perHour(watts), mid: perHour(watts), high: perHour(watts) }),
    /** Power that its owner's rules let it take from the grid beside that. */
    gridW: perHour(watts),
    /** Of the grid; null where nobody knows. A price may be negative. */
    intensityGPerKWh: perHour(z.number().min(0).max(5_000).nullable()),
    pricePerKWh: perHour(z.number().min(-1_000).max(1_000).nullable()),
    mostW: watts,
    /** As it measured while it trained; null while it has not. */
    tokensPerWh: z.number().positive().max(1e12).nullable(),
  })
  .refine(
    ({ sunW, gridW, intensityGPerKWh, pricePerKWh }) =>
      [sunW.low, sunW.high, gridW, intensityGPerKWh, pricePerKWh].every(({ length }) => length === sunW.mid.length),
    'its series have different lengths',
  );
export type IslandForecast = z.output<typeof islandForecastSchema>;
/** What of it a site knows: how fast it trains the island itself measures. */
export type SiteShare = Omit<IslandForecast, 'tokensPerWh'>;

/** What the run plans that an island takes from the grid. What its sun leaves it may always use. */
export const gridPlanSchema = z.object({
  startS: fullHour,
  gridWh: perHour(z.number().min(0).max(1e7)),
  objective: z.enum(['carbon', 'cost']),
});
export type GridPlan = z.output<typeof gridPlanSchema>;
