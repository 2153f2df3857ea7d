import { expect, it } from 'vitest';
import { exclusionAfterRound, participationBalance, scaleByCarbon } from '../../../src/energy/schedule/index.ts';
import { seeded } from './islands.ts';

const RETURNS = [0, 1, 1.7, 2.1];

it('goes by a measured curve of up to 64 islands where none is given', () => {
  const job = { tokens: 3, tokensPerSlot: 1, whPerIslandSlot: 1, intensityGPerKWh: [100, 400] };
  // 3.1 times one island's takes twelve islands in the clean hour alone; with both hours fewer do.
  const plan = scaleByCarbon({ ...job, maxIslands: 64 });
  if (plan.kind !== 'plan') throw new Error(plan.message);
  expect(plan.tokens).toBeGreaterThanOrEqual(3);
  expect(plan.islands[0]).toBeGreaterThan(plan.islands[1]!);
  expect(plan.islands.reduce((a, b) => a + b, 0)).toBeLessThan(12);
  expect(scaleByCarbon({ ...job, maxIslands: 65 })).toMatchObject({ kind: 'refused' });
});

/** Least grams over every number of islands in every slot. */
function bruteForce(intensity: readonly number[], tokens: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let code = 0; code < 4 ** intensity.length; code++) {
    const levels = intensity.map((_, slot) => Math.floor(code / 4 ** slot) % 4);
    if (levels.reduce((sum, j) => sum + RETURNS[j]!, 0) < tokens - 1e-9) continue;
    best = Math.min(
      best,
      levels.reduce((sum, j, slot) => sum + j * intensity[slot]!, 0),
    );
  }
  return best;
}

it('is as good as brute force for each number of tokens that it ends on', () => {
  const random = seeded(3);
  for (let trial = 0; trial < 20; trial++) {
    const intensityGPerKWh = Array.from({ length: 4 }, () => 20 + 500 * random());
    const job = { tokensPerSlot: 1, whPerIslandSlot: 1000, intensityGPerKWh, maxIslands: 3, returns: RETURNS };
    const plan = scaleByCarbon({ ...job, tokens: 0.2 + 7 * random() });
    if (plan.kind !== 'plan') throw new Error(plan.message);
    expect(plan.grams).toBeCloseTo(bruteForce(intensityGPerKWh, plan.tokens), 6);
  }
});

it('names the deadline, refuses negative intensity and a curve whose returns grow', () => {
  const job = {
    tokens: 100,
    tokensPerSlot: 1,
    whPerIslandSlot: 1,
    intensityGPerKWh: [1, 2],
    maxIslands: 3,
    returns: RETURNS,
  };
  expect(scaleByCarbon(job)).toMatchObject({ kind: 'infeasible', rule: 'deadline' });
  expect(scaleByCarbon({ ...job, intensityGPerKWh: [-5] })).toMatchObject({ kind: 'refused' });
  expect(scaleByCarbon({ ...job, returns: [0, 1, 3, 4] })).toMatchObject({ kind: 'refused' });
});

it('measures balance by the share that each owner gave of what was there', () => {
  expect(
    participationBalance([
      { usedWh: 1, availableWh: 10 },
      { usedWh: 100, availableWh: 1000 },
    ]),
  ).toBeCloseTo(1, 12);
  expect(
    participationBalance([
      { usedWh: 1, availableWh: 10 },
      { usedWh: 0, availableWh: 10 },
    ]),
  ).toBeCloseTo(0.5, 12);
});

it('lets those wait who took part more than others, and the rest in', () => {
  const owners = [
    { name: 'often', participatedRounds: 1000, excluded: false },
    { name: 'seldom', participatedRounds: 0, excluded: true },
  ];
  const after = exclusionAfterRound(owners, new Set(['often']), seeded(1));
  expect(after.map(({ excluded }) => excluded)).toEqual([true, false]);
});
