import { HelioError } from '../../errors.ts';
import {
  balanceInto,
  type ComputeMayUse,
  checkHome,
  emptyFlows,
  type FlowsBuffer,
  type Home,
  type PvOrder,
} from './balance.ts';
import { checkStored } from './battery.ts';

/** Powers of a home over time, of equal steps. */
export interface HomeTraces {
  readonly hours: number;
  readonly pvW: ArrayLike<number>;
  readonly loadW: ArrayLike<number>;
}

/**
 * What the machine asks for in step `i`, W, from the sun and household of that step and what the battery holds at its start.
 * The tight loop of the policies that are compared; a home's own is policy/.
 */
export type ComputeRule = (i: number, pvW: number, loadW: number, energyWh: number) => number;

export const ALL_SOURCES: ComputeMayUse = { pv: true, battery: true, grid: true };

/**
 * A home over all steps of its traces, with the battery carried on. Nothing is allocated in the loop: `visit` gets the same buffer each time, and
 * copies what it keeps.
 *
 * @param startWh what the battery holds at first
 * @returns what it holds at the end
 * @throws HelioError HELIO-1010 for traces of two lengths, and a gap or negative power with its step
 */
export function runHome(
  home: Home,
  traces: HomeTraces,
  startWh: number,
  computeOf: ComputeRule,
  visit: (i: number, flows: FlowsBuffer) => void,
  { computeMayUse = ALL_SOURCES, pvOrder = 'compute-first' as PvOrder } = {},
): number {
  const { hours, pvW, loadW } = traces;
  checkHome(home);
  checkStored(home.battery, startWh);
  if (pvW.length !== loadW.length)
    throw new HelioError(
      'HELIO-1010',
      `The home has ${pvW.length} steps of PV and ${loadW.length} of load.`,
      'Give both on the same grid of time; resampled() of series.ts makes one.',
    );
  const step = {
    hours,
    pvW: 0.5,
    loadW: 0.5,
    computeW: 0.5,
    computeMayUse,
    pvOrder,
    gridChargeW: 0,
    gridConnected: true,
  };
  const flows = emptyFlows(startWh);
  for (let i = 0; i < pvW.length; i++) {
    step.pvW = pvW[i]!;
    step.loadW = loadW[i]!;
    step.computeW = computeOf(i, step.pvW, step.loadW, flows.energyWh);
    balanceInto(home, step, flows);
    visit(i, flows);
  }
  return flows.energyWh;
}
