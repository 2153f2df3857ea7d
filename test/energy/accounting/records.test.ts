import { expect, test } from 'vitest';
import {
  type AverageIntensity,
  accountInterval,
  averageG,
  energyBetween,
  intervalLine,
  type MarginalIntensity,
  marginalG,
  openAccount,
  readInterval,
  reportOf,
  splitMeasured,
} from '../../../src/energy/accounting/index.ts';
import { HelioError } from '../../../src/errors.ts';
import { exampleDay, GRID, HOME, inputOf } from './example.ts';

const [FIRST] = exampleDay(HOME, 2000);
const refusal = (act: () => unknown): HelioError => {
  try {
    act();
  } catch (error) {
    if (error instanceof HelioError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

test('an average does not go where a marginal belongs', () => {
  const marginal: MarginalIntensity = { kind: 'marginal', gPerKWh: 1, zone: 'XX', origin: GRID.origin };
  // @ts-expect-error the compiler keeps them apart
  averageG(1, marginal);
  // @ts-expect-error both ways
  marginalG(1, GRID satisfies AverageIntensity);
  expect(averageG(500, GRID)).toBe(200);
});

test.each([
  ['no JSON', '{', 'no JSON'],
  ['another version', JSON.stringify({ ...FIRST, version: 2 }), 'version'],
  ['an unknown key', JSON.stringify({ ...FIRST, green: true }), 'green'],
  ['negative energy', JSON.stringify({ ...FIRST, computeWh: { ...FIRST!.computeWh, pv: -1 } }), 'computeWh.pv'],
  [
    'grams that are not energy × intensity',
    JSON.stringify({ ...FIRST, attributionalG: { ...FIRST!.attributionalG, pv: 0 } }),
    'pv is not',
  ],
  [
    'books that do not add up',
    JSON.stringify({ ...FIRST, counterfactual: { ...FIRST!.counterfactual, lostExportWh: 5 } }),
    'add up',
  ],
  ['a better label than its parts have', JSON.stringify({ ...FIRST, quality: 'measured' }), 'quality'],
  [
    'a marginal intensity as an average',
    JSON.stringify({ ...FIRST, average: { ...FIRST!.average, kind: 'marginal' } }),
    'average',
  ],
  ['a day', JSON.stringify({ ...FIRST, endMs: FIRST!.startMs + 86_400_000 }), 'endMs'],
  ['a very long line', `${' '.repeat(20_000)}{}`, 'letters'],
])('a line with %s is refused', (_, line, what) => {
  const error = refusal(() => readInterval(line, 'energy.jsonl line 3'));
  expect(error.code).toBe('HELIO-1012');
  expect(error.what).toContain('energy.jsonl line 3');
  expect(error.what).toContain(what);
});

test('a record is one line, and the same again', () => {
  const line = intervalLine(FIRST!);
  expect(line.trimEnd()).not.toContain('\n');
  expect(readInterval(line, 'x')).toEqual(FIRST);
});

test('a report knows zones, hours and the share of each quality, and is as good as its worst part', () => {
  const assumed = { quality: 'assumed', method: 'nobody measured' } as const;
  const account = openAccount(2000, GRID);
  const good = accountInterval(HOME, account, inputOf(0, { computeW: 300 }));
  const poor = accountInterval(
    HOME,
    account,
    inputOf(0, { computeW: 100 }, { name: 'barn', energyOrigin: assumed, average: { ...GRID, zone: 'YY' } }),
  );
  const later = accountInterval(HOME, good.account, inputOf(4, { computeW: 300 }));
  const report = reportOf([good.record, poor.record, later.record]);
  expect(report.quality).toBe('assumed');
  expect(report.qualityShare).toEqual({ measured: 0, modelled: 150 / 175, assumed: 25 / 175 });
  expect(report.byZone.get('XX')).toEqual({ wh: 150, attributionalG: 60, counterfactualG: 60 });
  expect(report.byZone.get('YY')).toEqual({ wh: 25, attributionalG: 10, counterfactualG: 10 });
  expect([...report.byHour].map(([ms, { wh }]) => [ms, wh])).toEqual([
    [0, 100],
    [3_600_000, 75],
  ]);
  expect(report).toMatchObject({ intervals: 3, tokens: 300, fromMs: 0, toMs: 5 * 900_000 });
});

test('nothing is counted twice', () => {
  expect(refusal(() => reportOf([FIRST!, FIRST!])).what).toContain('before its last one ends');
});

test('an empty report has no quality', () => {
  expect(reportOf([])).toMatchObject({ quality: null, totalWh: 0 });
});

test('a counter gives what lies between two readings', () => {
  expect(energyBetween({ atMs: 0, wh: 100 }, { atMs: 900_000, wh: 180 }, 400)).toBe(80);
});

test.each([
  ['backwards', { atMs: 900_000, wh: 99 }, 'went backwards, from 100 to 99'],
  ['with a jump', { atMs: 900_000, wh: 100_000 }, 'jumped by 99900 Wh'],
  ['that is unknown', { atMs: 900_000, wh: Number.NaN }, 'says 100 Wh and then NaN'],
  ['in no time', { atMs: 0, wh: 120 }, '0 ms after'],
])('a counter %s is refused', (_, later, what) => {
  const error = refusal(() => energyBetween({ atMs: 0, wh: 100 }, later, 400));
  expect(error.code).toBe('HELIO-1012');
  expect(error.what).toContain(what);
});

test('meters of a home: what they do not explain is unallocated', () => {
  const none = { pvWh: 0, importWh: 0, exportWh: 0, chargeWh: 0, dischargeWh: 0 };
  expect(splitMeasured({ ...none, importWh: 60 }, 100)).toMatchObject({
    gridWh: 60,
    unallocatedWh: 40,
    householdWh: 0,
  });
  expect(splitMeasured({ ...none, dischargeWh: 150, importWh: 20 }, 100)).toMatchObject({
    batteryWh: 80,
    gridWh: 20,
    unallocatedWh: 0,
    householdWh: 70,
  });
  expect(splitMeasured({ ...none, pvWh: 200, importWh: 100, chargeWh: 150 }, 100)).toMatchObject({
    pvWh: 100,
    pvToBatteryWh: 50,
    gridToBatteryWh: 100,
    householdWh: 50,
  });
  expect(refusal(() => splitMeasured({ ...none, importWh: Number.NaN }, 1)).what).toContain(
    'importWh of the interval is NaN',
  );
});
