import { describe, expect, it } from 'vitest';
import {
  type AverageIntensity,
  accountInterval,
  gridStep,
  openAccount,
  reportOf,
} from '../../../src/energy/accounting/index.ts';
import { HOUR_MS } from '../../../src/energy/series.ts';
import { drawFleet, type Fleet, YEAR_HOURS } from '../../../src/energy/simulate/fleet.ts';
import { leastCaused } from '../../../src/energy/simulate/least-caused.ts';
import { runFleet, type Strategy } from '../../../src/energy/simulate/run-fleet.ts';
import { alwaysOn, fedZeroLike, greedyGreen, sunOnly } from '../../../src/energy/simulate/strategies.ts';
import { seeded } from '../schedule/islands.ts';

/** A home in each of sixteen zones, over a year. */

const START_MS = Date.UTC(2025, 0);
const fleet = drawFleet({ homesPerZone: 1, seed: 7, startMs: START_MS });
const TOKENS_PER_WH = 1000;
const machinesW = fleet.homes.reduce((sum, { machineW }) => sum + machineW, 0);
const jobOf = (hours: number) => ({ tokens: machinesW * hours * TOKENS_PER_WH, tokensPerWh: TOKENS_PER_WH });

describe('a simulated fleet', () => {
  it('is the same for the same seed, and another for another', () => {
    const [again, other] = [7, 8].map((seed) => drawFleet({ homesPerZone: 1, seed, startMs: START_MS }));
    expect(again!.homes).toEqual(fleet.homes);
    expect(other!.homes[0]!.pvW).not.toEqual(fleet.homes[0]!.pvW);
  });

  it('has the sums of the accounting that islands keep', () => {
    const home = fleet.homes.find(({ home: { battery } }) => battery.capacityWh > 0)!;
    const alone: Fleet = { ...fleet, homes: [home] };
    const hours = 24 * 40;
    const job = { tokens: home.machineW * hours * TOKENS_PER_WH, tokensPerWh: TOKENS_PER_WH };
    const { books } = runFleet(alone, job, alwaysOn());
    const gridAt = (i: number): AverageIntensity => ({
      kind: 'average',
      scope: 'lifecycle',
      gPerKWh: home.zone.averageG[i]!,
      zone: home.zone.name,
      origin: { quality: 'modelled', method: 'simulated fleet' },
    });
    let account = openAccount(home.home.battery.capacityWh / 2, gridAt(0));
    const records = [];
    // A day after the last token the battery is as it would be.
    for (let i = 0; i < hours + 24 * 10; i++) {
      const done = accountInterval(home.home, account, {
        part: 'island',
        name: home.name,
        startMs: START_MS + i * HOUR_MS,
        endMs: START_MS + (i + 1) * HOUR_MS,
        tokens: 0,
        step: { ...gridStep(i < hours ? home.machineW : 0), pvW: home.pvW[i]!, loadW: home.loadW[i]! },
        energyOrigin: gridAt(i).origin,
        splitOrigin: gridAt(i).origin,
        average: gridAt(i),
      });
      account = done.account;
      records.push(done.record);
    }
    const report = reportOf(records);
    expect(books.pvWh + books.batteryWh + books.gridWh).toBeCloseTo(home.machineW * hours, 3);
    expect(report.totalWh).toBeCloseTo(home.machineW * hours, 3);
    expect(books.attributionalG / report.totalG).toBeCloseTo(1, 9);
    expect(books.extraImportWh / report.counterfactual.extraImportWh).toBeCloseTo(1, 3);
    expect(books.counterfactualG / report.counterfactual.averageG).toBeCloseTo(1, 3);
  });

  const strategies: readonly (readonly [name: string, make: () => Strategy])[] = [
    ['always on', alwaysOn],
    ['greedy', () => greedyGreen(0.5)],
    ['sun only', sunOnly],
    ['FedZero-like', () => fedZeroLike(0.5, seeded(1))],
    ['ours', () => leastCaused(fleet, { ...jobOf(200), deadlineHours: 400, seed: 7 })],
  ];
  it.each(strategies)('%s trains each token once, and each kWh has a source', (_, make) => {
    const job = jobOf(200);
    const { books, computeWh, tokens } = runFleet(fleet, job, make());
    expect(tokens.reduce((sum, each) => sum + each, 0) / job.tokens).toBeCloseTo(1, 8);
    expect((books.pvWh + books.batteryWh + books.gridWh) / computeWh).toBeCloseTo(1, 9);
  });

  it('causes less by our plan and policy than by greed, in no more time, and meets its deadline', () => {
    const job = jobOf(YEAR_HOURS / 8);
    const deadlineHours = YEAR_HOURS / 4;
    const greedy = runFleet(fleet, job, greedyGreen(0.5));
    const ours = runFleet(fleet, job, leastCaused(fleet, { ...job, deadlineHours, seed: 7 }));
    expect(ours.days).toBeLessThanOrEqual(deadlineHours / 24);
    expect(ours.days).toBeLessThanOrEqual(greedy.days);
    expect(ours.books.counterfactualG).toBeLessThan(0.9 * greedy.books.counterfactualG);
  });

  it('takes from no neighbour by the default policy: hardly any import that would not have been', () => {
    const { books, computeWh } = runFleet(fleet, jobOf(100), sunOnly());
    expect(books.extraImportWh / computeWh).toBeLessThan(0.01);
  });

  it('says so when nothing is ever trained', () => {
    const idle: Strategy = { ...alwaysOn(), ask: (_, askW) => askW.fill(0) };
    expect(() => runFleet({ ...fleet, homes: fleet.homes.slice(0, 1) }, jobOf(1), idle)).toThrow(
      /tokens are left after 20 years/,
    );
  });
});
