import { HOUR_MS } from '../series.ts';
import type { Conflict, Gap, PlanIsland, PlanJob, PlanResult } from './types.ts';

/** What both planners solve: slots (island × step) with tokens and a price each. Row-major, `steps` to an island. */
export interface Problem {
  readonly islands: readonly PlanIsland[];
  readonly job: Required<PlanJob>;
  readonly steps: number;
  /** Wh that may be used; 0 where nothing may. */
  readonly capWh: Float64Array;
  /** g, or currency, per token; infinite where nothing may be used. */
  readonly pricePerToken: Float64Array;
  /** What each island can train in all its slots. */
  readonly reachTokens: Float64Array;
  /** Of all slots; 0 among them. */
  readonly cheapest: number;
  readonly dearest: number;
  readonly gaps: readonly Gap[];
}

type Failure = Exclude<PlanResult, { readonly kind: 'plan' }>;

/** Refuses what is no input, and names the rule that leaves too little. */
export function problemOf(
  islands: readonly PlanIsland[],
  given: PlanJob,
): { readonly kind: 'problem'; readonly problem: Problem } | Failure {
  const refused = (message: string): Failure => ({ kind: 'refused', message, fallback: 'rule-control' });
  if (islands.length === 0) return refused('No island was given; a plan needs at least one.');
  const badGiven = badJob(given);
  if (badGiven !== undefined) return refused(badGiven);
  const job: Required<PlanJob> = {
    ...given,
    minIslands: given.minIslands ?? 1,
    maxIslands: Math.min(given.maxIslands ?? islands.length, islands.length),
    minTokensEach: given.minTokensEach ?? 0,
    trust: given.trust ?? 'mid',
  };
  const { startMs, stepMs, values } = islands[0]!.availableW[job.trust];
  const hours = stepMs / HOUR_MS;
  const steps = Math.max(0, Math.min(values.length, Math.floor((job.deadlineMs - startMs) / stepMs)));
  const capWh = new Float64Array(islands.length * steps);
  const pricePerToken = new Float64Array(islands.length * steps).fill(Number.POSITIVE_INFINITY);
  let cheapest = 0;
  let dearest = 0;
  const reachTokens = new Float64Array(islands.length);
  const gaps: Gap[] = [];
  let atFullPower = 0;
  let withoutQuiet = 0;
  for (let i = 0; i < islands.length; i++) {
    // Read and checked at once: of ten thousand islands, fetching them from memory takes longest.
    const bad = badIsland(islands[i]!, islands[0]!, job.trust);
    if (bad !== undefined) return refused(`${islands[i]!.name}: ${bad}`);
    const { name, availableW, intensityGPerKWh, pricePerKWh, tokensPerWh, minW, maxW, quiet } = islands[i]!;
    const available = availableW[job.trust].values;
    const perKWh = job.objective === 'carbon' ? intensityGPerKWh : pricePerKWh;
    let unknown = 0;
    let awakeWh = 0;
    let openWh = 0;
    for (let t = 0; t < steps; t++) {
      const most = available[t]!;
      const price = perKWh[t]!;
      if (Number.isNaN(most) || Number.isNaN(price)) {
        unknown++;
        continue;
      }
      if (most < minW) continue;
      const wh = Math.min(most, maxW) * hours;
      awakeWh += wh;
      if (quiet !== undefined && quiet[t] === true) continue;
      capWh[i * steps + t] = wh;
      const perToken = price / 1000 / tokensPerWh;
      pricePerToken[i * steps + t] = perToken;
      if (perToken > dearest) dearest = perToken;
      if (perToken < cheapest) cheapest = perToken;
      openWh += wh;
    }
    atFullPower += maxW * hours * steps * tokensPerWh;
    withoutQuiet += awakeWh * tokensPerWh;
    reachTokens[i] = openWh * tokensPerWh;
    if (unknown > 0) gaps.push({ island: name, steps: unknown });
  }
  const conflict = conflictOf(job, reachTokens, atFullPower, withoutQuiet);
  if (conflict !== undefined) return infeasible(conflict.rule, conflict.message, gaps);
  return {
    kind: 'problem',
    problem: { islands, job, steps, capWh, pricePerToken, reachTokens, cheapest, dearest, gaps },
  };
}

export const infeasible = (rule: Conflict, message: string, gaps: readonly Gap[]): Failure => ({
  kind: 'infeasible',
  rule,
  message,
  fallback: 'rule-control',
  gaps,
});

function conflictOf(
  { tokens, minIslands, maxIslands, minTokensEach }: Required<PlanJob>,
  reach: Float64Array,
  atFullPower: number,
  withoutQuiet: number,
): { readonly rule: Conflict; readonly message: string } | undefined {
  const able = reach.filter((most) => most > 0 && most >= minTokensEach).sort();
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);
  const short = (most: number, why: string, remedy: string): string =>
    `${why}: ${Math.floor(most)} of ${tokens} tokens can be trained. ${remedy}`;
  if (atFullPower < tokens)
    return {
      rule: 'deadline',
      message: short(
        atFullPower,
        'The deadline is too near even at full power',
        'Move the deadline, or ask for fewer tokens.',
      ),
    };
  if (withoutQuiet < tokens)
    return {
      rule: 'energy',
      message: short(
        withoutQuiet,
        'Too little energy is forecast before the deadline',
        'Move the deadline, or allow more of the grid.',
      ),
    };
  if (sum(reach) < tokens)
    return {
      rule: 'quiet-hours',
      message: short(sum(reach), 'Quiet hours leave too little', 'Shorten them, or move the deadline.'),
    };
  if (able.length < minIslands || minIslands > maxIslands)
    return {
      rule: 'minimum-islands',
      message: `${Math.min(able.length, maxIslands)} islands can take part, ${minIslands} must. Lower the least number of islands, or what each must train.`,
    };
  if (sum(able) < tokens)
    return {
      rule: 'minimum-islands',
      message: short(
        sum(able),
        'Islands that cannot train their least share leave too little',
        'Lower what each must train.',
      ),
    };
  if (sum(able.slice(Math.max(0, able.length - maxIslands))) < tokens)
    return {
      rule: 'maximum-islands',
      message: short(
        sum(able.slice(able.length - maxIslands)),
        `At most ${maxIslands} islands may take part`,
        'Allow more.',
      ),
    };
  if (minIslands * minTokensEach > tokens)
    return {
      rule: 'minimum-islands',
      message: `${minIslands} islands of at least ${minTokensEach} tokens each make more than the ${tokens} asked for. Lower one of the two.`,
    };
  return undefined;
}

function badJob(job: PlanJob): string | undefined {
  if (!(job.tokens > 0 && Number.isFinite(job.tokens)))
    return `The job's tokens are ${job.tokens}; give a number above 0.`;
  if (!Number.isFinite(job.deadlineMs)) return `The deadline is ${job.deadlineMs}; give Unix time in ms.`;
  for (const field of ['minIslands', 'maxIslands'] as const) {
    const value = job[field];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1))
      return `${field} is ${value}; give a whole number from 1 on.`;
  }
  if (job.minTokensEach !== undefined && !(job.minTokensEach >= 0 && Number.isFinite(job.minTokensEach)))
    return `minTokensEach is ${job.minTokensEach}; give 0 or more.`;
  return undefined;
}

/** All islands have the first one's grid of time. */
function badIsland(island: PlanIsland, first: PlanIsland, trust: Required<PlanJob>['trust']): string | undefined {
  const { tokensPerWh, minW, maxW, availableW, intensityGPerKWh, pricePerKWh } = island;
  if (!(tokensPerWh > 0 && Number.isFinite(tokensPerWh)))
    return `tokensPerWh is ${tokensPerWh}; give a number above 0.`;
  if (!(minW >= 0 && maxW >= minW && Number.isFinite(maxW)))
    return `power from ${minW} to ${maxW} W; give 0 ≤ minW ≤ maxW.`;
  const { startMs, stepMs, values } = availableW[trust];
  const grid = first.availableW[trust];
  if (!(stepMs > 0) || startMs !== grid.startMs || stepMs !== grid.stepMs || values.length !== grid.values.length)
    return `its forecast begins, steps or ends otherwise than that of ${first.name}; resample both to one grid of time.`;
  return (
    badSeries('available power', values, values.length, 0) ??
    badSeries('intensity', intensityGPerKWh, values.length, 0) ??
    // A price below 0 is real: some hours pay for what is taken.
    badSeries('price', pricePerKWh, values.length, -Number.MAX_VALUE)
  );
}

function badSeries(what: string, series: Float64Array, steps: number, least: number): string | undefined {
  if (series.length !== steps) return `${what} has ${series.length} steps, the forecast ${steps}; give as many.`;
  for (let at = 0; at < steps; at++)
    if (series[at]! < least || series[at] === Number.POSITIVE_INFINITY)
      return `${what} is ${series[at]} in step ${at}; give ${least === 0 ? '0 or more' : 'a number'}, or NaN where nothing is known.`;
  return undefined;
}
