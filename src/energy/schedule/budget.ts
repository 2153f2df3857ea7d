import { HOUR_MS, type Series, seriesOf } from '../series.ts';
import type { PlanIsland, Planned } from './types.ts';

/** Each island's compute budget of the next `hours` hours, in Wh per hour: what a coordinator publishes. NaN after the plan's end. */
export function budgetCurves(
  islands: readonly PlanIsland[],
  plan: Planned,
  fromMs: number,
  hours = 24,
): readonly Series[] {
  return islands.map((island, i) => {
    const { startMs, stepMs, origin } = island.availableW.mid;
    const energyWh = plan.energyWh[i]!;
    const endMs = startMs + energyWh.length * stepMs;
    const values = new Float64Array(hours).map((_, hour) => {
      const beginMs = fromMs + hour * HOUR_MS;
      if (beginMs < startMs || beginMs + HOUR_MS > endMs) return Number.NaN;
      let sum = 0;
      for (let t = Math.floor((beginMs - startMs) / stepMs); startMs + t * stepMs < beginMs + HOUR_MS; t++) {
        const overlapMs =
          Math.min(beginMs + HOUR_MS, startMs + (t + 1) * stepMs) - Math.max(beginMs, startMs + t * stepMs);
        sum += (energyWh[t]! * overlapMs) / stepMs;
      }
      return sum;
    });
    return seriesOf(fromMs, HOUR_MS, values, { quality: origin.quality, method: `plan on ${origin.method}` });
  });
}
