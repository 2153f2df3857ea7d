import { expect, test } from 'vitest';
import {
  accountAfter,
  accountInterval,
  type EnergyInterval,
  flowsOf,
  INTERVAL_MS,
  IntervalRecorder,
  intervalSchema,
  openAccount,
  reportOf,
  totalOf,
} from '../../../src/energy/accounting/index.ts';
import { GRID, HOME, inputOf } from './example.ts';

const MINUTE_MS = 60_000;
const { step: NIGHT, startMs: _, endMs: __, ...WORDS } = inputOf(0, {});

/** Six hours from noon into the night, minute by minute, on a machine of 400 W. */
function minutes() {
  const records: EnergyInterval[] = [];
  let account = openAccount(5000, GRID);
  const recorder = new IntervalRecorder(HOME.battery, account.stored, (record) => records.push(record));
  const direct: EnergyInterval[] = [];
  let exact = account;
  for (let minute = 0; minute < 360; minute++) {
    const startMs = minute * MINUTE_MS;
    const step = { ...NIGHT, pvW: Math.max(0, 4000 - 15 * minute), loadW: 300 + (minute % 7) * 200, computeW: 400 };
    const flows = flowsOf(HOME, account, { step: { ...step, hours: 1 / 60 } });
    recorder.add(startMs, startMs + MINUTE_MS, flows, WORDS);
    account = accountAfter(flows, account.stored);
    const done = accountInterval(HOME, exact, { ...WORDS, step, startMs, endMs: startMs + MINUTE_MS });
    exact = done.account;
    direct.push(done.record);
  }
  recorder.flush();
  return { records, direct };
}

test('minutes become quarters of an hour, and nothing is lost on the way', () => {
  const { records, direct } = minutes();
  expect(records).toHaveLength(24);
  for (const [i, record] of records.entries()) {
    expect([record.startMs, record.endMs]).toEqual([i * INTERVAL_MS, (i + 1) * INTERVAL_MS]);
    expect(intervalSchema.safeParse(record).error).toBeUndefined();
    expect(record.tokens).toBe(1500);
    expect(totalOf(record.computeWh)).toBeCloseTo(100);
  }
  const [a, b] = [reportOf(records), reportOf(direct)];
  expect(a.computeWh.battery).toBeGreaterThan(100);
  for (const source of ['pv', 'battery', 'grid'] as const) {
    expect(a.computeWh[source]).toBeCloseTo(b.computeWh[source], 6);
    // The battery is charged before it gives, within a quarter; its mean differs a little in that one.
    expect(Math.abs(a.attributionalG[source] - b.attributionalG[source])).toBeLessThan(0.5);
  }
  expect(a.counterfactual.averageG).toBeCloseTo(b.counterfactual.averageG, 6);
  expect(a.counterfactual.storedDebtWh).toBeCloseTo(b.counterfactual.storedDebtWh, 6);
});

test.each([
  ['another factor', { words: { ...WORDS, average: { ...GRID, gPerKWh: 100 } }, fromMs: MINUTE_MS }],
  [
    'a meter that went silent',
    { words: { ...WORDS, energyOrigin: { quality: 'modelled' as const, method: 'load' } }, fromMs: MINUTE_MS },
  ],
  ['a gap in time', { words: WORDS, fromMs: 2 * MINUTE_MS }],
  ['the next quarter', { words: WORDS, fromMs: INTERVAL_MS }],
])('%s ends a record', (_why, { words, fromMs }) => {
  const records: EnergyInterval[] = [];
  const account = openAccount(5000, GRID);
  const recorder = new IntervalRecorder(HOME.battery, account.stored, (record) => records.push(record));
  const flows = flowsOf(HOME, account, { step: { ...NIGHT, hours: 1 / 60, computeW: 600 } });
  const firstMs = fromMs === INTERVAL_MS ? INTERVAL_MS - MINUTE_MS : 0;
  recorder.add(firstMs, firstMs + MINUTE_MS, flows, WORDS);
  recorder.add(fromMs, fromMs + MINUTE_MS, flows, words);
  expect(records).toHaveLength(1);
  recorder.flush();
  expect(records.map(({ startMs }) => startMs)).toEqual([firstMs, fromMs]);
  expect(records.map(({ average }) => average)).toEqual([GRID, words.average]);
});

test('tokens that nobody counted make a record that says so', () => {
  const records: EnergyInterval[] = [];
  const account = openAccount(5000, GRID);
  const recorder = new IntervalRecorder(HOME.battery, account.stored, (record) => records.push(record));
  const flows = flowsOf(HOME, account, { step: { ...NIGHT, hours: 1 / 60 } });
  recorder.add(0, MINUTE_MS, flows, WORDS);
  recorder.add(MINUTE_MS, 2 * MINUTE_MS, flows, { ...WORDS, tokens: null });
  recorder.flush();
  expect(records).toMatchObject([{ tokens: null, endMs: 2 * MINUTE_MS }]);
});
