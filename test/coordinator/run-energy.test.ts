import fc from 'fast-check';
import { expect, it } from 'vitest';
import { islandShare, runEnergy, type Used } from '../../src/coordinator/run-energy.ts';
import { NO_TOTALS } from '../../src/energy/accounting/index.ts';
import type { EnergyTotals } from '../../src/protocol/energy.ts';
import { NO_PROGRESS, type Progress } from '../../src/protocol/messages.ts';

const FACTORS = { wattsPerCore: 10, intensityGPerKWh: 500 };
type Worker = Used['islands'] extends Iterable<infer W> ? W : never;

const books = (wh: number, drawingS: number, change: Partial<EnergyTotals> = {}): NonNullable<Worker['energy']> => ({
  accounts: [
    {
      account: 'aaaaaaaa',
      totals: {
        ...NO_TOTALS,
        coveredS: drawingS * 2,
        drawingS,
        computeWh: { pv: wh / 2, battery: 0, grid: wh / 2, unallocated: 0 },
        qualityWh: { measured: wh, modelled: 0, assumed: 0 },
        attributionalG: wh / 5,
        counterfactual: { ...NO_TOTALS.counterfactual, extraImportWh: wh, averageG: wh / 2, storedDebtWh: 7 },
        ...change,
      },
    },
  ],
});
const progress = (cpuS: number, computeS = cpuS): Progress => ({ ...NO_PROGRESS, tokens: 10, cpuS, computeS });
const worker = (change: Partial<Worker>): Worker => ({ past: null, progress: null, ...change });
const sum = (parts: Readonly<Record<string, number>>): number => Object.values(parts).reduce((a, b) => a + b, 0);

it('a home counts by its books, a machine without by its CPU seconds, and coordinator and network count too', () => {
  const used: Used = {
    islands: [
      worker({ progress: progress(7200), energy: books(400, 7200, { embodiedG: 30 }) }),
      worker({ progress: progress(3600) }),
      worker({}),
    ],
    coordinatorCpuS: 360,
    networkBytes: 2e9,
  };
  const energy = runEnergy(used, FACTORS);
  // 3600 s × 10 W; 360 s × 10 W; 2 GB × 59 Wh/GB.
  expect(energy).toMatchObject({
    totalWh: 400 + 10 + 1 + 118,
    estimatedWh: 10 + 1 + 118,
    parts: { islandsWh: 410, coordinatorWh: 1, networkWh: 118 },
    computeWh: { pv: 200, battery: 0, grid: 200, unallocated: 129 },
    qualityWh: { measured: 400, modelled: 0, assumed: 129 },
    attributionalG: 80 + 5 + 0.5 + 59,
    // Of the network nobody knows what it causes.
    counterfactualG: 200 + 5 + 0.5,
    embodiedG: 30,
    storedDebtWh: 7,
    islands: 2,
    withBooks: 1,
    withEmbodied: 1,
  });
});

it('work that is not in the books yet, or never was, is estimated: nobody looks green by silence', () => {
  const home = worker({ progress: progress(3600), energy: books(100, 1800) });
  expect(islandShare(home, FACTORS)).toMatchObject({ totalWh: 105, estimatedWh: 5, qualityWh: { assumed: 5 } });
  const silent = worker({ progress: progress(3600), energy: { accounts: [] } });
  expect(islandShare(silent, FACTORS)).toMatchObject({ totalWh: 10, estimatedWh: 10 });
  // Books also cover time in which nothing was trained.
  const whole = worker({ progress: progress(1800), energy: books(100, 3600) });
  expect(islandShare(whole, FACTORS)).toMatchObject({ totalWh: 100, estimatedWh: 0 });
});

it('a claim that was refused is told, and what it would have covered is estimated', () => {
  const refused = { rule: 'power', reason: 'too much' } as const;
  const liar = worker({ progress: progress(3600), energy: { accounts: books(1, 0).accounts.slice(1), refused } });
  expect(islandShare(liar, FACTORS)).toMatchObject({ totalWh: 10, refused: 'too much' });
});

it('debts of batteries add up over islands, and of the accounts of one island the newest counts', () => {
  const [account] = books(100, 3600).accounts;
  const twice = { accounts: [account!, { ...account!, account: 'bbbbbbbb' }] };
  const used = { coordinatorCpuS: 0, networkBytes: 0 };
  expect(runEnergy({ islands: [worker({ energy: twice })], ...used }, FACTORS)).toMatchObject({
    totalWh: 200,
    storedDebtWh: 7,
  });
  const two = [worker({ energy: twice }), worker({ energy: books(1, 1) })];
  expect(runEnergy({ islands: two, ...used }, FACTORS).storedDebtWh).toBe(14);
});

it('whatever the parts are, by source and by method they are the whole', () => {
  const amount = fc.double({ min: 0, max: 1e6, noNaN: true });
  const island = fc
    .record({ wh: amount, drawingS: amount, cpuS: amount, computeS: amount, keeps: fc.boolean() })
    .map(({ wh, drawingS, cpuS, computeS, keeps }) =>
      worker({ progress: progress(cpuS, computeS), ...(keeps ? { energy: books(wh, drawingS) } : {}) }),
    );
  fc.assert(
    fc.property(fc.array(island, { maxLength: 8 }), amount, amount, (islands, coordinatorCpuS, networkBytes) => {
      const energy = runEnergy({ islands, coordinatorCpuS, networkBytes }, FACTORS);
      for (const parts of [energy.computeWh, energy.qualityWh, energy.parts])
        expect(Math.abs(sum(parts) - energy.totalWh)).toBeLessThan(1e-9 * Math.max(1, energy.totalWh));
      const shares = islands.map((each) => islandShare(each, FACTORS).totalWh).reduce((a, b) => a + b, 0);
      expect(Math.abs(shares - energy.parts.islandsWh)).toBeLessThan(1e-9 * Math.max(1, shares));
    }),
  );
});
