import { expect, test } from 'vitest';
import {
  balance,
  batteryOf,
  checkBattery,
  hoursLeft,
  NO_BATTERY,
  reserveWh,
  runHome,
} from '../../../src/energy/home/index.ts';
import { HelioError } from '../../../src/errors.ts';

const BATTERY = batteryOf(10_000, 5000, 4000, 0.81);
const HOME = { battery: BATTERY, reserveWh: 2000, exportLimitW: Infinity, importLimitW: Infinity };
const STEP = {
  hours: 0.25,
  pvW: 1000,
  loadW: 300,
  computeW: 200,
  computeMayUse: { pv: true, battery: true, grid: true },
  pvOrder: 'compute-first' as const,
  gridChargeW: 0,
  gridConnected: true,
};

const refusal = (act: () => unknown): HelioError => {
  try {
    act();
  } catch (error) {
    if (error instanceof HelioError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

test('a round trip loses the same each way', () => {
  expect(BATTERY).toMatchObject({ chargeEfficiency: 0.9, dischargeEfficiency: 0.9 });
});

test('the reserve is the larger of what the owner wants and what an outage needs, and fits the battery', () => {
  const of = (minimumShare: number, outageHours: number) =>
    reserveWh(BATTERY, { minimumShare, outageHours, baseLoadW: 450 });
  expect(of(0.2, 0)).toBe(2000);
  expect(of(0.2, 8)).toBeCloseTo((8 * 450) / 0.9);
  expect(of(0.2, 100)).toBe(10_000);
  expect(reserveWh(NO_BATTERY, { minimumShare: 0.2, outageHours: 8, baseLoadW: 450 })).toBe(0);
});

test('tells how long the battery carries a load', () => {
  expect(hoursLeft(BATTERY, 6000, 2000, 450)).toBe(8);
  expect(hoursLeft(BATTERY, 1000, 2000, 450)).toBe(0);
  expect(hoursLeft(BATTERY, 6000, 0, 0)).toBe(Infinity);
});

test.each([
  ['a negative capacity', () => batteryOf(-1, 1, 1, 0.9), 'capacityWh is -1'],
  ['an efficiency above 1', () => batteryOf(1, 1, 1, 1.1), 'roundTripEfficiency is 1.1'],
  [
    'an efficiency of 90 where 0.9 was meant',
    () => checkBattery({ ...BATTERY, chargeEfficiency: 90 }),
    'chargeEfficiency is 90',
  ],
  ['a negative charge power', () => batteryOf(1, -5, 1, 0.9), 'maxChargeW is -5'],
  ['more than the battery holds', () => balance(HOME, { energyWh: 10_001 }, STEP), 'holds 10001 Wh'],
  ['less than nothing', () => balance(HOME, { energyWh: -1 }, STEP), 'holds -1 Wh'],
  ['an unknown charge', () => balance(HOME, { energyWh: Number.NaN }, STEP), 'holds NaN Wh'],
  ['a gap in the sun', () => balance(HOME, { energyWh: 5000 }, { ...STEP, pvW: Number.NaN }), 'pvW is NaN'],
  ['a household that gives', () => balance(HOME, { energyWh: 5000 }, { ...STEP, loadW: -10 }), 'loadW is -10'],
  [
    'an endless machine',
    () => balance(HOME, { energyWh: 5000 }, { ...STEP, computeW: Infinity }),
    'computeW is Infinity',
  ],
  ['a step of no time', () => balance(HOME, { energyWh: 5000 }, { ...STEP, hours: 0 }), 'hours is 0'],
  [
    'a reserve above the capacity',
    () => balance({ ...HOME, reserveWh: 20_000 }, { energyWh: 1 }, STEP),
    'reserveWh is 20000',
  ],
  [
    'a negative export limit',
    () => balance({ ...HOME, exportLimitW: -1 }, { energyWh: 1 }, STEP),
    'exportLimitW is -1',
  ],
  [
    'a reserve in per cent',
    () => reserveWh(BATTERY, { minimumShare: 20, outageHours: 0, baseLoadW: 0 }),
    'minimumShare is 20',
  ],
  [
    'traces of two lengths',
    () =>
      runHome(
        HOME,
        { hours: 1, pvW: [1, 2], loadW: [1] },
        0,
        () => 0,
        () => {},
      ),
    '2 steps of PV and 1 of load',
  ],
  [
    'a gap in a trace',
    () =>
      runHome(
        HOME,
        { hours: 1, pvW: [1, Number.NaN], loadW: [1, 1] },
        0,
        () => 0,
        () => {},
      ),
    'pvW is NaN',
  ],
])('refuses %s', (_, act, what) => {
  const error = refusal(act);
  expect(error.code).toBe('HELIO-1010');
  expect(error.what).toContain(what);
  expect(error.remedy).not.toBe('');
});

test('the loop over a year gives what single steps give', () => {
  const pvW = Float64Array.from({ length: 96 }, (_, i) => Math.max(0, 4000 * Math.sin(((i - 24) / 48) * Math.PI)));
  const loadW = Float64Array.from({ length: 96 }, (_, i) => 300 + 50 * (i % 7));
  const computeOf = (_: number, pv: number, load: number) => (pv - load >= 350 ? 350 : 100);
  const looped: number[] = [];
  const end = runHome(HOME, { hours: 0.25, pvW, loadW }, 5000, computeOf, (_, flows) => {
    looped.push(flows.energyWh, flows.gridToLoadWh, flows.pvToComputeWh);
  });
  let state = { energyWh: 5000 };
  const stepped: number[] = [];
  pvW.forEach((pv, i) => {
    const flows = balance(HOME, state, { ...STEP, pvW: pv, loadW: loadW[i]!, computeW: computeOf(i, pv, loadW[i]!) });
    stepped.push(flows.energyWh, flows.gridToLoadWh, flows.pvToComputeWh);
    state = flows;
  });
  expect(looped).toEqual(stepped);
  expect(end).toBe(state.energyWh);
});
