import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  accountInterval,
  GRID_ONLY,
  gridStep,
  intervalLine,
  intervalSchema,
  type MarginalIntensity,
  openAccount,
  readInterval,
  reportOf,
  totalOf,
} from '../../../src/energy/accounting/index.ts';
import { batteryOf } from '../../../src/energy/home/index.ts';
import { exampleDay, GRID, HOME, inputOf } from './example.ts';

const MARGINAL: MarginalIntensity = { kind: 'marginal', gPerKWh: 600, zone: 'XX', origin: GRID.origin };

test('compute on the surplus robs the evening: the two books differ', () => {
  const report = reportOf(exampleDay(HOME, 2000));
  expect(report.computeWh).toEqual({ pv: 1000, battery: 0, grid: 0, unallocated: 0 });
  expect(report.totalG).toBeCloseTo(41);
  // 1000 Wh less in the battery are 810 Wh less out of it.
  expect(report.counterfactual.extraImportWh).toBeCloseTo(810);
  expect(report.counterfactual.fromBatteryWh).toBeCloseTo(190);
  expect(report.counterfactual.averageG).toBeCloseTo(324);
  expect(report.counterfactual.storedDebtWh).toBeCloseTo(0);
});

test('what would have been thrown away causes nothing, and is said', () => {
  const report = reportOf(exampleDay({ ...HOME, exportLimitW: 0 }, 10_000));
  expect(report.counterfactual).toMatchObject({ usedSpillWh: 1000, extraImportWh: 0, averageG: 0 });
  expect(report.totalG).toBeCloseTo(41);
});

test('what would have been exported causes no import, and what others make instead stands apart', () => {
  const done = accountInterval(
    HOME,
    openAccount(10_000, GRID),
    inputOf(0, { pvW: 3000, computeW: 1000 }, { marginal: MARGINAL }),
  );
  expect(done.record.counterfactual).toMatchObject({
    lostExportWh: 250,
    extraImportWh: 0,
    averageG: 0,
    marginalG: 0,
    lostExportMarginalG: 150,
  });
});

test('the numbers of the worked example in the docs are these', () => {
  const text = readFileSync(path.resolve(import.meta.dirname, '../../../docs/energy-accounting.md'), 'utf8');
  const day = reportOf(exampleDay(HOME, 2000));
  const spill = reportOf(exampleDay({ ...HOME, exportLimitW: 0 }, 10_000));
  const said = (wh: number, unit: string): string => `**${Math.round(wh)} ${unit}**`;
  expect(text).toContain(said(day.totalG, 'g'));
  expect(text).toContain(said(day.counterfactual.extraImportWh, 'Wh'));
  expect(text).toContain(said(day.counterfactual.fromBatteryWh, 'Wh'));
  expect(text).toContain(said(day.counterfactual.averageG, 'g'));
  expect(text).toContain(said(spill.counterfactual.usedSpillWh, 'Wh'));
  expect(text).toContain(said(spill.counterfactual.averageG, 'g'));
});

test('the battery gives what it was charged with, losses included', () => {
  const empty = { ...HOME, reserveWh: 0 };
  let account = openAccount(0, GRID);
  account = accountInterval(empty, account, inputOf(0, { pvW: 4000 })).account; // 1000 Wh at 41 g
  account = accountInterval(empty, account, inputOf(1, { gridChargeW: 4000 })).account; // 1000 Wh at 400 g
  const { record } = accountInterval(empty, account, inputOf(2, { computeW: 400 }));
  expect(record.computeWh.battery).toBe(100);
  expect(record.batteryGPerKWh).toBeCloseTo((41 + 400) / 2 / 0.81);
});

test('market-based is by contract, and apart', () => {
  const contract = { kind: 'contract', gPerKWh: 10, zone: 'XX', origin: GRID.origin } as const;
  const { record } = accountInterval(HOME, openAccount(2000, GRID), inputOf(0, { computeW: 4000 }, { contract }));
  expect(totalOf(record.attributionalG)).toBe(400);
  expect(record.marketG).toBe(10);
});

test('a coordinator has the grid alone', () => {
  const { record } = accountInterval(
    GRID_ONLY,
    openAccount(0, GRID),
    inputOf(0, gridStep(80), { part: 'coordinator', name: 'cellar' }),
  );
  expect(record.computeWh).toEqual({ pv: 0, battery: 0, grid: 20, unallocated: 0 });
  expect(record.counterfactual.averageG).toBe(8);
});

test('what the machine drew and no source explains is unallocated, and counts as grid', () => {
  const { record } = accountInterval(
    { ...HOME, importLimitW: 1000 },
    openAccount(2000, GRID),
    inputOf(0, { computeW: 4000 }),
  );
  expect(record.computeWh).toEqual({ pv: 0, battery: 0, grid: 250, unallocated: 750 });
  expect(totalOf(record.attributionalG)).toBe(400);
  expect(record.counterfactual.averageG).toBe(400);
});

test('meters divide the energy where a home has them, and the charge that they say holds', () => {
  const measured = { pvWh: 500, importWh: 100, exportWh: 50, chargeWh: 150, dischargeWh: 0 };
  const { record, account } = accountInterval(
    HOME,
    openAccount(9000, GRID),
    inputOf(0, { computeW: 1200 }, { measured, measuredBatteryWh: 4000 }),
  );
  // 500 + 100 − 50 − 150 − 300 of compute leave 100 for the household, which the sun serves first.
  expect(record.computeWh).toEqual({ pv: 300, battery: 0, grid: 0, unallocated: 0 });
  expect(account.actual.energyWh).toBeCloseTo(4000 + 0.9 * 100);
  expect(account.shadow.energyWh).toBeCloseTo(4000 + 0.9 * 400);
});

test('the shadow keeps its distance when the meter corrects the battery', () => {
  const first = accountInterval(HOME, openAccount(5000, GRID), inputOf(0, { pvW: 2000, computeW: 2000 }));
  expect(first.record.counterfactual.storedDebtWh).toBeCloseTo(450);
  const second = accountInterval(HOME, first.account, inputOf(1, {}, { measuredBatteryWh: 4500 }));
  expect(second.record.counterfactual.storedDebtWh).toBeCloseTo(450);
});

const watts = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 8000, noNaN: true }));
const steps = fc.array(
  fc.record({ pvW: watts, loadW: watts, computeW: watts, gridConnected: fc.boolean(), marginal: fc.boolean() }),
  { minLength: 1, maxLength: 12 },
);
const share = fc.double({ min: 0, max: 1, noNaN: true });

test('sums equal the meter, both books add up, and grams of the battery are neither made nor lost', () => {
  fc.assert(
    fc.property(share, share, fc.constantFrom(0, 500, Infinity), steps, (start, reserve, exportLimitW, all) => {
      const home = { ...HOME, battery: batteryOf(6400, 5000, 4000, 0.9), reserveWh: 6400 * reserve, exportLimitW };
      const startWh = 6400 * start;
      let account = openAccount(startWh, GRID);
      let grams = account.stored.grams;
      let drawn = 0;
      const records = all.map(({ marginal, ...step }, i) => {
        const before = account;
        const done = accountInterval(home, account, inputOf(i, step, marginal ? { marginal: MARGINAL } : {}));
        account = done.account;
        const { record } = done;
        expect(intervalSchema.safeParse(record).error).toBeUndefined();
        expect(readInterval(intervalLine(record), 'here')).toEqual(record);
        expect(totalOf(record.computeWh)).toBeCloseTo(step.computeW / 4, 6);
        drawn += step.computeW / 4;
        // What went in and what went out, of the whole home.
        const storedWh = account.actual.energyWh - before.actual.energyWh;
        if (storedWh > 0) grams += (storedWh / home.battery.chargeEfficiency / 1000) * 41;
        else grams += (storedWh * home.battery.dischargeEfficiency * record.batteryGPerKWh) / 1000;
        return record;
      });
      expect(account.stored.grams).toBeCloseTo(grams, 6);
      expect(account.stored.energyWh).toBeCloseTo(account.actual.energyWh, 6);
      const report = reportOf(records);
      expect(report.totalWh).toBeCloseTo(drawn, 5);
      const { counterfactual: c } = report;
      expect(c.extraImportWh + c.lostExportWh + c.usedSpillWh + c.fromBatteryWh + c.fromHouseholdWh).toBeCloseTo(
        drawn,
        5,
      );
      for (const parts of [report.byZone, report.byHour, report.byPart])
        expect([...parts.values()].reduce((sum, { wh }) => sum + wh, 0)).toBeCloseTo(drawn, 5);
    }),
    { numRuns: 300 },
  );
});
