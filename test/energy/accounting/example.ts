import {
  type AverageIntensity,
  accountInterval,
  type EnergyInterval,
  gridStep,
  type HomeAccount,
  INTERVAL_MS,
  type IntervalInput,
  openAccount,
} from '../../../src/energy/accounting/index.ts';
import { batteryOf, type Home } from '../../../src/energy/home/index.ts';

export const GRID: AverageIntensity = {
  kind: 'average',
  scope: 'lifecycle',
  gPerKWh: 400,
  zone: 'XX',
  origin: { quality: 'modelled', method: 'an example', vintage: '2025' },
};
const MEASURED = { quality: 'measured', method: 'an example' } as const;

/** 10 kWh, 10 % lost each way, 2 kWh reserve. */
export const HOME: Home = {
  battery: batteryOf(10_000, 5000, 5000, 0.81),
  reserveWh: 2000,
  exportLimitW: Number.POSITIVE_INFINITY,
  importLimitW: Number.POSITIVE_INFINITY,
};

export const inputOf = (
  i: number,
  step: Partial<IntervalInput['step']>,
  more: Partial<IntervalInput> = {},
): IntervalInput => ({
  part: 'island',
  name: 'attic',
  startMs: i * INTERVAL_MS,
  endMs: (i + 1) * INTERVAL_MS,
  tokens: 100,
  step: { ...gridStep(0), ...step },
  energyOrigin: MEASURED,
  splitOrigin: MEASURED,
  average: GRID,
  ...more,
});

/** An hour at noon on the sun's surplus, and an hour of the evening without compute. */
export function exampleDay(home: Home, startWh: number): readonly EnergyInterval[] {
  let account: HomeAccount = openAccount(startWh, GRID);
  return Array.from({ length: 8 }, (_, i) => {
    const step = i < 4 ? { pvW: 3000, loadW: 500, computeW: 1000 } : { pvW: 0, loadW: 2500, computeW: 0 };
    const done = accountInterval(home, account, inputOf(i, step));
    account = done.account;
    return done.record;
  });
}
