import type { PlanIsland } from '../../../src/energy/schedule/index.ts';
import { HOUR_MS, seriesOf } from '../../../src/energy/series.ts';

/** Mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function islandOf(
  name: string,
  powerW: readonly number[],
  intensity: readonly number[],
  more: Partial<PlanIsland> = {},
): PlanIsland {
  const series = seriesOf(0, HOUR_MS, powerW, { quality: 'assumed', method: 'typed in a test' });
  return {
    name,
    availableW: { low: series, mid: series, high: series },
    tokensPerWh: 100,
    minW: 0,
    maxW: 300,
    intensityGPerKWh: Float64Array.from(intensity),
    pricePerKWh: Float64Array.from(intensity, (g) => g / 1000),
    ...more,
  };
}

export function randomIslands(count: number, steps: number, seed: number): readonly PlanIsland[] {
  const random = seeded(seed);
  return Array.from({ length: count }, (_, i) =>
    islandOf(
      `island ${i}`,
      Array.from({ length: steps }, () => Math.max(0, 600 * random() - 200)),
      Array.from({ length: steps }, () => 20 + 700 * random()),
      { tokensPerWh: 50 + 200 * random(), minW: 50 },
    ),
  );
}

/** Tokens that all of them can make together. */
export const reachOf = (islands: readonly PlanIsland[]): number =>
  islands.reduce(
    (sum, { availableW, tokensPerWh, minW, maxW }) =>
      sum + availableW.mid.values.reduce((wh, w) => wh + (w >= minW ? Math.min(w, maxW) : 0), 0) * tokensPerWh,
    0,
  );
