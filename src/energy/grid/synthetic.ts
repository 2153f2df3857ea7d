import type { Origin } from '../figure.ts';
import { HOUR_MS, type Series } from '../series.ts';
import { noise, seedOf } from './noise.ts';
import type { Zone } from './zones.ts';

/** A grid that nobody measured: hours drawn from the statistics of a zone's year. */

export interface SyntheticGrid {
  /** gCO2e/kWh of all that is generated: for reports. */
  readonly averageG: Series;
  /** gCO2e/kWh of what would be generated more or less: for decisions. Never add it to the average. */
  readonly marginalG: Series;
  /** Price over its mean: 1 in the mean of a year. Times a mean price it is a tariff. */
  readonly priceShare: Series;
}

/** Lifecycle medians of IPCC AR5: what follows demand. */
const GAS_G = 490;
const COAL_G = 820;
/** From this far above the least of the year up, a plant that burns something follows demand; below, more and more wind and sun do. */
const SPILL_SHARE = 0.25;
/** How much of the relative swing of intensity a price shows. */
const PRICE_SHARE = 0.6;

const DAY_HOURS = 24;
const YEAR_DAYS = 365.25;

/**
 * Hourly intensity and price of a zone. The same zone and seed give the same hour the same value, whichever hours are asked for.
 *
 * Means, daily swing and range of `averageG` are those of the zone's 2024. No published statistic stands behind `marginalG` and
 * `priceShare`: they follow the average by the rules above, and say so.
 *
 * @returns from the hour of `fromMs` to that which ends at or after `toMs`
 */
export function syntheticGrid(zone: Zone, seed: number, fromMs: number, toMs: number): SyntheticGrid {
  const firstHour = Math.floor(fromMs / HOUR_MS);
  const hours = Math.max(0, Math.ceil(toMs / HOUR_MS) - firstHour);
  const average = noise(seedOf(zone.name, seed), 0, zone.memory, firstHour, hours);
  const marginal = new Float64Array(hours);
  const price = new Float64Array(hours);

  const profile = Float64Array.from({ length: DAY_HOURS }, (_, hour) =>
    zone.day.reduce(
      (sum, [heightG, topHour], i) =>
        sum + heightG * Math.cos((2 * Math.PI * (i + 1) * (hour + 0.5 - topHour)) / DAY_HOURS),
      zone.meanG,
    ),
  );
  const followsG = zone.meanG < (GAS_G + COAL_G) / 2 ? GAS_G : COAL_G;
  const spillG = zone.leastG + SPILL_SHARE * (zone.meanG - zone.leastG);
  let seasonG = 0;
  for (let i = 0; i < hours; i++) {
    const hour = firstHour + i;
    const ofDay = hour - DAY_HOURS * Math.floor(hour / DAY_HOURS);
    if (i === 0 || ofDay === 0)
      seasonG = zone.year[0] * Math.cos((2 * Math.PI * (Math.floor(hour / DAY_HOURS) - zone.year[1])) / YEAR_DAYS);
    const value = profile[ofDay]! + seasonG + zone.noiseG * average[i]!;
    const g = Math.min(zone.mostG, Math.max(zone.leastG, value));
    average[i] = g;
    marginal[i] = followsG * Math.min(1, (g - zone.leastG) / (spillG - zone.leastG));
    price[i] = Math.max(0.2, 1 + PRICE_SHARE * (g / zone.meanG - 1));
  }
  const series = (values: Float64Array, origin: Origin): Series => ({
    startMs: firstHour * HOUR_MS,
    stepMs: HOUR_MS,
    values,
    origin,
  });
  const method = `synthetic ${zone.name} by its statistics, seed ${seed}`;
  return {
    averageG: series(average, { quality: 'modelled', method, vintage: '2024' }),
    marginalG: series(marginal, {
      quality: 'assumed',
      method: `${method}: ${followsG} g/kWh follows demand, less where the grid is cleanest`,
    }),
    priceShare: series(price, { quality: 'assumed', method: `${method}: price follows intensity` }),
  };
}
