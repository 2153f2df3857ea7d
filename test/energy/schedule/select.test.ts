import { describe, expect, it } from 'vitest';
import { type PlanIsland, type PlanJob, type Planned, planGreedy } from '../../../src/energy/schedule/index.ts';
import { kthLargest, priceThatBuys } from '../../../src/energy/schedule/select.ts';
import { HOUR_MS } from '../../../src/energy/series.ts';
import { islandOf, randomIslands, reachOf, seeded } from './islands.ts';

/** Values as they hurt: spread, few and often, all the same, one far away from all others. */
const KINDS: Record<string, (random: () => number, k: number) => number> = {
  spread: (random) => random() * 700 - 50,
  few: (random) => Math.floor(random() * 4),
  same: () => 3,
  outlier: (random, k) => (k === 0 ? 1e15 : random()),
};

describe.each(Object.entries(KINDS))('values: %s', (_, value) => {
  it('the k-th largest is that of the sorted values', () => {
    const random = seeded(3);
    for (const count of [1, 2, 3, 17, 500]) {
      const values = Float64Array.from({ length: count }, (_, k) => value(random, k));
      const sorted = values.toSorted((a, b) => b - a);
      for (const k of new Set([1, Math.ceil(count / 3), count]))
        expect(kthLargest(values.slice(), k)).toBe(sorted[k - 1]);
    }
  });

  it('the bracket of prices holds the one at which the amount is reached', () => {
    const random = seeded(4);
    for (const count of [1, 10, 3000]) {
      const price = Float64Array.from({ length: count }, (_, k) => value(random, k));
      const amount = Float64Array.from({ length: count }, () => random());
      const order = [...price.keys()].sort((a, b) => price[a]! - price[b]!);
      const all = amount.reduce((a, b) => a + b, 0);
      for (const share of [0.001, 0.3, 0.999]) {
        let left = share * all;
        const edge = order.find((k) => {
          left -= amount[k]!;
          return left <= 0;
        })!;
        const { below, upTo } = priceThatBuys(price, amount, share * all);
        expect([below <= price[edge]!, price[edge]! <= upTo]).toEqual([true, true]);
      }
    }
  });
});

/** The cheapest slots of all, sorted: what a plan without limits must cost. */
function cheapest(islands: readonly PlanIsland[], tokens: number): number {
  const slots = islands.flatMap(({ availableW, intensityGPerKWh, tokensPerWh, minW, maxW }) =>
    [...availableW.mid.values].flatMap((w, t) =>
      w < minW ? [] : [{ made: Math.min(w, maxW) * tokensPerWh, grams: intensityGPerKWh[t]! / 1000 / tokensPerWh }],
    ),
  );
  let [left, total] = [tokens, 0];
  for (const { made, grams } of slots.sort((a, b) => a.grams - b.grams)) {
    total += Math.min(left, made) * grams;
    left -= Math.min(left, made);
  }
  return total;
}

it('without limits the plan costs exactly what the cheapest slots cost, of any fleet', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const islands = [
      ...randomIslands(seed * 20, 24, seed),
      // One price for all its hours, and one far dearer than everybody's.
      islandOf('flat', Array(24).fill(300), Array(24).fill(100)),
      islandOf('dear', Array(24).fill(300), Array(24).fill(1e9)),
    ];
    for (const share of [0.01, 0.5, 0.97]) {
      const tokens = reachOf(islands) * share;
      const job: PlanJob = { tokens, deadlineMs: 24 * HOUR_MS, objective: 'carbon' };
      const plan = planGreedy(islands, job) as Planned;
      const due = cheapest(islands, tokens);
      expect(Math.abs(plan.total / due - 1)).toBeLessThan(1e-9);
      expect(Math.abs(plan.tokens / tokens - 1)).toBeLessThan(1e-9);
    }
  }
});
