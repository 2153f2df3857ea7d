import { beforeAll, describe, expect, it } from 'vitest';
import {
  budgetCurves,
  type LpSolver,
  type PlanIsland,
  type PlanJob,
  type Planned,
  type PlanResult,
  planGreedy,
  planMilp,
} from '../../../src/energy/schedule/index.ts';
import { loadHighs } from '../../../src/energy/schedule/load-highs.ts';
import { HOUR_MS } from '../../../src/energy/series.ts';
import { islandOf, randomIslands, reachOf } from './islands.ts';

let solve: LpSolver;
beforeAll(async () => {
  solve = await loadHighs();
});

function planned(result: PlanResult): Planned {
  if (result.kind !== 'plan') throw new Error(result.message);
  return result;
}

function expectWithinLimits(islands: readonly PlanIsland[], job: PlanJob, plan: Planned): void {
  expect(plan.tokens).toBeGreaterThan(job.tokens * (1 - 1e-6));
  let count = 0;
  for (const [i, { availableW, tokensPerWh, minW, maxW }] of islands.entries()) {
    let tokens = 0;
    for (const [t, wh] of plan.energyWh[i]!.entries()) {
      const w = availableW.mid.values[t]!;
      expect(wh).toBeGreaterThanOrEqual(0);
      expect(wh).toBeLessThanOrEqual((w >= minW ? Math.min(w, maxW) : 0) + 1e-9);
      tokens += wh * tokensPerWh;
    }
    if (plan.takesPart[i]) count++;
    else expect(tokens).toBeLessThan(job.tokens * 1e-6);
    if (plan.takesPart[i]) expect(tokens).toBeGreaterThan((job.minTokensEach ?? 0) - job.tokens * 1e-6);
  }
  expect(count).toBeLessThanOrEqual(job.maxIslands ?? islands.length);
  expect(count).toBeGreaterThanOrEqual(job.minIslands ?? 1);
}

describe('plans of random fleets', () => {
  for (let seed = 1; seed <= 12; seed++)
    it(`the greedy plan is within 5 % of the exact one, and both within all limits (seed ${seed})`, () => {
      const islands = randomIslands(12, 12, seed);
      const tokens = reachOf(islands) * 0.2;
      const job: PlanJob = {
        tokens,
        deadlineMs: 12 * HOUR_MS,
        objective: 'carbon',
        ...(seed % 3 === 0 ? {} : { maxIslands: 5 }),
        ...(seed % 2 === 0 ? { minIslands: 3, minTokensEach: tokens / 12 } : {}),
      };
      const exact = planned(planMilp(islands, job, solve));
      const fast = planned(planGreedy(islands, job));
      expectWithinLimits(islands, job, exact);
      expectWithinLimits(islands, job, fast);
      expect(fast.total).toBeGreaterThan(exact.total * (1 - 1e-4));
      expect(fast.total).toBeLessThan(exact.total * 1.05);
    });

  it('more tokens never cost less', () => {
    const islands = randomIslands(20, 24, 7);
    const reach = reachOf(islands);
    const totals = [0.1, 0.3, 0.5, 0.7, 0.9].map(
      (part) =>
        planned(planGreedy(islands, { tokens: reach * part, deadlineMs: 24 * HOUR_MS, objective: 'cost' })).total,
    );
    expect(totals).toEqual([...totals].sort((a, b) => a - b));
    expect(new Set(totals).size).toBe(5);
  });
});

describe('a plan that cannot be', () => {
  const job: PlanJob = { tokens: 50_000, deadlineMs: 4 * HOUR_MS, objective: 'carbon' };
  const sunny = islandOf('a', [300, 300, 300, 300], [100, 100, 100, 100]);
  const ruleOf = (islands: readonly PlanIsland[], changed: Partial<PlanJob> = {}): string => {
    const result = planGreedy(islands, { ...job, ...changed });
    return result.kind === 'infeasible' ? result.rule : result.kind;
  };
  it('names the deadline', () => expect(ruleOf([sunny], { deadlineMs: HOUR_MS })).toBe('deadline'));
  it('names energy', () => expect(ruleOf([islandOf('a', [100, 100, 0, 0], [1, 1, 1, 1])])).toBe('energy'));
  it('names quiet hours', () => expect(ruleOf([{ ...sunny, quiet: [true, true, true, false] }])).toBe('quiet-hours'));
  it('names the least number of islands', () => expect(ruleOf([sunny], { minIslands: 2 })).toBe('minimum-islands'));
  it('names the largest number of islands', () =>
    expect(ruleOf([sunny, sunny], { tokens: 150_000, maxIslands: 1 })).toBe('maximum-islands'));
});

describe('bad input', () => {
  it('plans nothing where nothing is known, and says so', () => {
    const islands = [islandOf('a', [Number.NaN, 300, 300], [10, 500, Number.NaN])];
    const plan = planned(planGreedy(islands, { tokens: 10_000, deadlineMs: 3 * HOUR_MS, objective: 'carbon' }));
    expect([...plan.energyWh[0]!]).toEqual([0, 100, 0]);
    expect(plan.gaps).toEqual([{ island: 'a', steps: 2 }]);
  });
  it('refuses a negative forecast', () => {
    const result = planGreedy([islandOf('a', [-84], [10])], { tokens: 1, deadlineMs: HOUR_MS, objective: 'carbon' });
    expect(result).toMatchObject({ kind: 'refused', message: expect.stringContaining('-84') });
  });
});

it('publishes the plan as Wh of each hour, unknown after its end', () => {
  const islands = [islandOf('a', [300, 300, 300], [300, 100, 200])];
  const plan = planned(planGreedy(islands, { tokens: 45_000, deadlineMs: 3 * HOUR_MS, objective: 'carbon' }));
  const [curve] = budgetCurves(islands, plan, HOUR_MS, 3);
  expect([...curve!.values].map((wh) => Math.round(wh * 1e6) / 1e6)).toEqual([300, 150, Number.NaN]);
});
