import { HOUR_MS } from '../series.ts';
import type { Conflict, Gap, PlanIsland, PlanJob, PlanResult } from './types.ts';

/** What both planners solve: slots (island × step) with tokens and a price each. Row-major, `steps` to an island. */
export interface Problem {
  readonly islands: readonly PlanIsland[];
  readonly job: Required<PlanJob>;
  readonly steps: number;
  /** Wh that may be used; 0 where nothing may. */
  readonly capWh: Float64Array;
  /** g, or currency, per token. */
  readonly pricePerToken: Float64Array;
  readonly gaps: readonly Gap[];
}

type Failure = Exclude<PlanResult, { readonly kind: 'plan' }>;

/** Refuses what is no input, and names the rule that leaves too little. */
export function problemOf(
  islands: readonly PlanIsland[],
  given: PlanJob,
): { readonly kind: 'problem'; readonly problem: Problem } | Failure {
  const bad = badInput(islands, given);
  if (bad !== undefined) return { kind: 'refused', message: bad, fallback: 'rule-control' };
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
  const pricePerToken = new Float64Array(islands.length * steps);
  const reach = new Float64Array(islands.length);
  const gaps: Gap[] = [];
  let atFullPower = 0;
  let withoutQuiet = 0;
  for (const [i, island] of islands.entries()) {
    const available = island.availableW[job.trust].values;
    const perKWh = job.objective === 'carbon' ? island.intensityGPerKWh : island.pricePerKWh;
    let unknown = 0;
    for (let t = 0; t < steps; t++) {
      atFullPower += island.maxW * hours * island.tokensPerWh;
      const price = perKWh[t]!;
      if (Number.isNaN(available[t]!) || Number.isNaN(price)) {
        unknown++;
        continue;
      }
      const w = Math.min(available[t]!, island.maxW);
      if (w < island.minW) continue;
      withoutQuiet += w * hours * island.tokensPerWh;
      if (island.quiet?.[t] === true) continue;
      capWh[i * steps + t] = w * hours;
      pricePerToken[i * steps + t] = price / 1000 / island.tokensPerWh;
      reach[i]! += w * hours * island.tokensPerWh;
    }
    if (unknown > 0) gaps.push({ island: island.name, steps: unknown });
  }
  const conflict = conflictOf(job, reach, atFullPower, withoutQuiet);
  if (conflict !== undefined) return infeasible(conflict.rule, conflict.message, gaps);
  return { kind: 'problem', problem: { islands, job, steps, capWh, pricePerToken, gaps } };
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

function badInput(islands: readonly PlanIsland[], job: PlanJob): string | undefined {
  const first = islands[0]?.availableW.mid;
  if (first === undefined) return 'No island was given; a plan needs at least one.';
  if (!(job.tokens > 0 && Number.isFinite(job.tokens)))
    return `The job's tokens are ${job.tokens}; give a number above 0.`;
  if (!Number.isFinite(job.deadlineMs)) return `The deadline is ${job.deadlineMs}; give Unix time in ms.`;
  for (const [field, value] of [
    ['minIslands', job.minIslands],
    ['maxIslands', job.maxIslands],
  ] as const)
    if (value !== undefined && !(Number.isInteger(value) && value >= 1))
      return `${field} is ${value}; give a whole number from 1 on.`;
  if (job.minTokensEach !== undefined && !(job.minTokensEach >= 0 && Number.isFinite(job.minTokensEach)))
    return `minTokensEach is ${job.minTokensEach}; give 0 or more.`;
  for (const island of islands) {
    const { name, tokensPerWh, minW, maxW } = island;
    if (!(tokensPerWh > 0 && Number.isFinite(tokensPerWh)))
      return `${name}: tokensPerWh is ${tokensPerWh}; give a number above 0.`;
    if (!(minW >= 0 && maxW >= minW && Number.isFinite(maxW)))
      return `${name}: power from ${minW} to ${maxW} W; give 0 ≤ minW ≤ maxW.`;
    const { startMs, stepMs, values } = island.availableW[job.trust ?? 'mid'];
    if (!(stepMs > 0) || startMs !== first.startMs || stepMs !== first.stepMs || values.length !== first.values.length)
      return `${name}: its forecast begins, steps or ends otherwise than that of ${islands[0]!.name}; resample both to one grid of time.`;
    for (const [what, series] of [
      ['available power', values],
      ['intensity', island.intensityGPerKWh],
      ['price', island.pricePerKWh],
    ] as const) {
      if (series.length !== first.values.length)
        return `${name}: ${what} has ${series.length} steps, the forecast ${first.values.length}; give as many.`;
      // A price below 0 is real: some hours pay for what is taken.
      const at = firstBad(series, what === 'price');
      if (at >= 0)
        return `${name}: ${what} is ${series[at]} in step ${at}; give 0 or more, or NaN where nothing is known.`;
    }
  }
  return undefined;
}

/** -1 where all are numbers in their range, or gaps. */
function firstBad(series: Float64Array, mayBeNegative: boolean): number {
  const least = mayBeNegative ? -Number.MAX_VALUE : 0;
  for (let at = 0; at < series.length; at++) {
    const value = series[at]!;
    if (value < least || value === Number.POSITIVE_INFINITY) return at;
  }
  return -1;
}
