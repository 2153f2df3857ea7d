import { DEFAULT_POLICY, type Policy } from '../policy/index.ts';
import { HomeAhead, type PlanIsland, planGreedy } from '../schedule/index.ts';
import { HOUR_MS, seriesOf } from '../series.ts';
import { decidedW } from './decided.ts';
import { type Fleet, YEAR_HOURS } from './fleet.ts';
import { type Edge, Outlooks } from './outlooks.ts';
import type { FleetNow, Strategy } from './run-fleet.ts';

/**
 * Our way: a machine trains in the hours in which that causes least. Once a day a plan over the fleet says which grams a kWh may cause so that the
 * tokens are there by the deadline; each home's policy holds against it, hour by hour, what training would cause in that home by its forecast.
 */

/** The days to come are expected to be like those that were, but for the season. */
const LOOKS_BACK = 14 * 24;
/** Of a day's news, what the limit follows at least: it is to be the same all year, and right when the deadline is near. */
const FOLLOWS = 0.1;
/** What a policy takes. */
const MOST_G = 5000;
const LEAST_G = 1e-6;
/** Sun that nobody misses. */
const FREE_G = 1;
/** Mean of what may come, from the tenth, fiftieth and ninetieth percentile: Swanson's rule. */
const WEIGHTS: readonly (readonly [edge: Edge, weight: number])[] = [
  ['low', 0.3],
  ['mid', 0.4],
  ['high', 0.3],
];

export interface LeastCausedOptions {
  readonly tokens: number;
  readonly tokensPerWh: number;
  readonly deadlineHours: number;
  readonly seed: number;
}

export function leastCaused(fleet: Fleet, options: LeastCausedOptions): Strategy {
  const { homes } = fleet;
  const outlooks = new Outlooks(fleet, options.seed);
  const ahead = homes.map(({ home }) => new HomeAhead(home));
  /** What a kWh would have caused in each hour of late: a row a home, hours go round. */
  const seenG = homes.map(() => new Float64Array(LOOKS_BACK));
  let policy: Policy = { ...DEFAULT_POLICY, mode: 'always' };

  /** What a kWh in a home is expected to cause, from now. */
  const expectedG = (now: FleetNow, h: number, at: number): number => {
    let sum = 0;
    for (const [edge, weight] of WEIGHTS)
      sum += weight * ahead[h]!.causedGPerKWh(outlooks.of(h, now, edge), now.heldWh[h]!, at, homes[h]!.machineW);
    return sum;
  };

  return {
    mayUse: { pv: true, battery: true, grid: true },
    pvOrder: 'compute-first',
    ask(now, askW) {
      outlooks.advance(now);
      // Before the first day nothing was seen: what is expected of it stands in.
      const hours = now.hour === 0 ? 24 : 1;
      for (const [h, seen] of seenG.entries())
        for (let at = 0; at < hours; at++) seen[(now.hour + at) % LOOKS_BACK] = expectedG(now, h, at);
      if (now.hour % 24 === 0) {
        const limitG = limitOf(fleet, seenG, now, options);
        const follows = Math.min(1, Math.max(FOLLOWS, (2 * 24) / (options.deadlineHours - now.hour)));
        const before = policy.maxIntensityGPerKWh ?? limitG;
        policy = { ...policy, maxIntensityGPerKWh: before + follows * (limitG - before) };
      }
      for (const [h, home] of homes.entries())
        askW[h] = decidedW(home, now, now.heldWh[h]!, policy, seenG[h]![now.hour % LOOKS_BACK]!);
    },
  };
}

/** The grams a kWh may cause so that what is left is trained in time. */
function limitOf(
  fleet: Fleet,
  seenG: readonly Float64Array[],
  { hour, tokensLeft }: FleetNow,
  { deadlineHours, tokensPerWh }: LeastCausedOptions,
): number {
  const hours = Math.min(Math.max(24, hour), LOOKS_BACK);
  const hoursLeft = deadlineHours - hour;
  if (hoursLeft <= 24) return MOST_G;
  const islands = fleet.homes.map(({ name, machineW }, h): PlanIsland => {
    const power = seriesOf(0, HOUR_MS, new Float64Array(hours).fill(machineW), ORIGIN);
    const caused = seenG[h]!.subarray(0, hours);
    return {
      name,
      availableW: { low: power, mid: power, high: power },
      tokensPerWh,
      minW: 0,
      maxW: machineW,
      intensityGPerKWh: caused,
      pricePerKWh: caused,
    };
  });
  const moreFreeWh = seasonsSurplusWh(fleet, seenG, hour, hours, hoursLeft);
  const tokens = Math.max(1, (tokensLeft * hours) / hoursLeft - moreFreeWh * tokensPerWh);
  const plan = planGreedy(islands, { tokens, deadlineMs: hours * HOUR_MS, objective: 'carbon' });
  if (plan.kind !== 'plan') return MOST_G;
  let dearestG = 0;
  for (const [h, energyWh] of plan.energyWh.entries())
    for (let i = 0; i < hours; i++) if (energyWh[i]! > 0) dearestG = Math.max(dearestG, seenG[h]![i]!);
  // The policy trains below its limit.
  return Math.min(MOST_G, dearestG + LEAST_G);
}

const ORIGIN = { quality: 'modelled', method: 'simulated fleet' } as const;

/** What the sun will leave in as many hours of the seasons to come beyond what it left of late, Wh: free hours go with it, those that are paid do not. */
function seasonsSurplusWh(
  fleet: Fleet,
  seenG: readonly Float64Array[],
  hour: number,
  hours: number,
  hoursLeft: number,
): number {
  const today = Math.floor(hour / 24);
  const was = usualSurplusWh(fleet, today - Math.min(today, hours / 24), hours / 24);
  const comes = usualSurplusWh(fleet, today, Math.ceil(hoursLeft / 24));
  let freeWh = 0;
  for (const [h, { machineW }] of fleet.homes.entries())
    for (let i = 0; i < hours; i++) if (seenG[h]![i]! < FREE_G) freeWh += machineW;
  return freeWh * (comes / was - 1);
}

/** What the sun usually leaves for the machines, Wh a day in the mean of some days. */
function usualSurplusWh({ homes }: Fleet, fromDay: number, days: number): number {
  let sum = 0;
  for (let day = fromDay; day < fromDay + days; day++)
    for (const { usualSurplusWh } of homes) sum += usualSurplusWh[day % (YEAR_HOURS / 24)]!;
  return sum / days;
}
