import { balance, type Home, type HomeStep } from '../home/balance.ts';
import { type Battery, type BatteryState, NO_BATTERY } from '../home/battery.ts';
import { ALL_SOURCES } from '../home/run.ts';
import type { AverageIntensity } from './intensity.ts';
import type { EnergyInterval } from './interval.ts';
import { type MeasuredHome, splitMeasured } from './measured-split.ts';
import { type About, type Flows, recordOf, sourcesOf } from './record.ts';
import { anchored, type StoredCarbon, storedAt } from './stored-carbon.ts';

/**
 * What is carried from interval to interval: the home as it is, and its shadow, the same home without compute. Both go by the same model of the
 * battery, so that what the model gets wrong is in both and not in their difference.
 */
export interface HomeAccount {
  readonly actual: BatteryState;
  readonly shadow: BatteryState;
  readonly stored: StoredCarbon;
}

/** @param average of the grid: what the battery held before is counted as if it came from there */
export const openAccount = (energyWh: number, average: AverageIntensity): HomeAccount => ({
  actual: { energyWh },
  shadow: { energyWh },
  stored: storedAt(energyWh, average.gPerKWh),
});

/** A machine without a home: a coordinator in a data centre, a network. */
export const GRID_ONLY: Home = {
  battery: NO_BATTERY,
  reserveWh: 0,
  exportLimitW: Number.POSITIVE_INFINITY,
  importLimitW: Number.POSITIVE_INFINITY,
};

/** What a home and its machine did in a stretch of time. */
export interface MeteredStep {
  /** `computeW` is what the machine drew by its meter, else by its model: the sum of the sources will be that. */
  readonly step: HomeStep;
  /** By the home's meters, where they are: they divide the energy, and give the step's sun and household. */
  readonly measured?: MeasuredHome;
}

export interface IntervalInput extends About {
  readonly step: Omit<HomeStep, 'hours'>;
  readonly measured?: MeasuredHome;
  /** What the battery's meter said at the start. */
  readonly measuredBatteryWh?: number;
}

/** A step of a machine that has the grid alone. */
export const gridStep = (computeW: number): IntervalInput['step'] => ({
  pvW: 0,
  loadW: 0,
  computeW,
  computeMayUse: ALL_SOURCES,
  pvOrder: 'compute-first',
  gridChargeW: 0,
  gridConnected: true,
});

/**
 * One interval of a home in both books.
 *
 * Attributional: the household has the sun first; what compute had from each source × that source's intensity. Counterfactual: import with compute −
 * import without. Compute on the sun's surplus has little in the first book and more in the second, as the battery is emptier in the evening: also
 * intervals without compute have a counterfactual part then.
 *
 * @throws HelioError HELIO-1010 or HELIO-1012 for figures that cannot be
 */
export function accountInterval(
  home: Home,
  account: HomeAccount,
  input: IntervalInput,
): { readonly account: HomeAccount; readonly record: EnergyInterval } {
  const { startMs, endMs, average, measured, measuredBatteryWh } = input;
  const before = withMeter(account, home.battery, measuredBatteryWh, average);
  const step = { ...input.step, hours: (endMs - startMs) / 3_600_000 };
  const flows = flowsOf(home, before, measured === undefined ? { step } : { step, measured });
  const { stored, record } = recordOf(home.battery, before.stored, flows, input);
  return { account: accountAfter(flows, stored), record };
}

/** The battery of the account is the model's; the carbon in it goes by the meters where they are. */
export const accountAfter = ({ actual, shadow }: Flows, { energyWh, grams }: StoredCarbon): HomeAccount => ({
  actual: { energyWh: actual.energyWh },
  shadow: { energyWh: shadow.energyWh },
  stored: { energyWh, grams },
});

/** Where each watt-hour went: with compute, and without. */
export function flowsOf(
  home: Home,
  before: Pick<HomeAccount, 'actual' | 'shadow'>,
  { step: asked, measured }: MeteredStep,
): Flows {
  const { hours } = asked;
  const split = measured === undefined ? undefined : splitMeasured(measured, asked.computeW * hours);
  const step =
    measured === undefined || split === undefined
      ? asked
      : { ...asked, pvW: measured.pvWh / hours, loadW: split.householdWh / hours };
  const actual = balance(home, before.actual, step);
  const shadow = balance(home, before.shadow, { ...step, computeW: 0 });
  if (measured === undefined || split === undefined) return { actual, shadow, sources: sourcesOf(actual) };
  const { householdWh: _, ...sources } = split;
  return { actual, shadow, sources: { ...sources, dischargeWh: measured.dischargeWh } };
}

/** What the meter says that the battery holds is true; the shadow keeps its distance. */
export function withMeter(
  account: HomeAccount,
  battery: Battery,
  measuredWh: number | undefined,
  average: AverageIntensity,
): HomeAccount {
  if (measuredWh === undefined) return account;
  const debtWh = account.shadow.energyWh - account.actual.energyWh;
  return {
    actual: { energyWh: measuredWh },
    shadow: { energyWh: Math.min(battery.capacityWh, Math.max(0, measuredWh + debtWh)) },
    stored: anchored(account.stored, measuredWh, average.gPerKWh),
  };
}
