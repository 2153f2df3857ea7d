import { type GridPlan, type IslandForecast, MOST_HOURS } from '../../protocol/forecast.ts';
import { HOUR_MS, seriesOf } from '../series.ts';
import { participationBalance } from './fairness.ts';
import { planGreedy } from './greedy.ts';
import type { Conflict, PlanIsland } from './types.ts';

/** What is to be trained, and by when. */
export interface RunGoal {
  readonly tokensLeft: number;
  readonly deadlineMs: number;
  readonly objective: 'carbon' | 'cost';
  /** Which edge of the sun's forecast is counted on. */
  readonly trust: 'low' | 'mid' | 'high';
}

/** An island as the run knows it. */
export interface Expected {
  readonly island: string;
  readonly forecast: IslandForecast;
  /** What is counted on: as it was measured, or as far as its own word is believed. Null: nobody knows; it is taken for as fast as the others. */
  readonly tokensPerWh: number | null;
}

export interface IslandBudget {
  readonly island: string;
  /** Wh of each hour from the plan's start: of its sun, which it may always use, and what is planned of the grid. */
  readonly sunWh: readonly number[];
  readonly gridWh: readonly number[];
}

/** A plan of a run, or why there is none: then each island lives by its owner's rules alone. */
export interface RunPlan {
  readonly startMs: number;
  readonly rule: Conflict | 'no-forecast' | 'refused' | null;
  /** One sentence. */
  readonly message: string;
  readonly islands: readonly IslandBudget[];
  /** Expected of the sun, without anything of the grid. */
  readonly sunTokens: number;
  /** Planned of the grid, and what it emits (g) or costs (currency). */
  readonly gridTokens: number;
  readonly gridTotal: number;
  /** Jain's index of planned energy as a share of what each island has; NaN where nothing is planned. */
  readonly balance: number;
}

/**
 * When each island of a run takes power from the grid, so that N tokens are trained by a deadline with least carbon or cost (FedZero, Wiesner et al. 2024,
 * section 4). What the islands' sun gives is counted first, as it costs nothing; what is then missing is bought in the cleanest or cheapest hours of all
 * islands together.
 *
 * An island whose speed is not known is taken for as fast a Wh as the others; one that does not know the intensity (or price) of an hour is
 * planned in it last, as if it were the worst that anybody knows.
 */
export function planRun(goal: RunGoal, expected: readonly Expected[], nowMs: number): RunPlan {
  const startMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
  const none = (rule: RunPlan['rule'], message: string, islands: readonly IslandBudget[] = [], sunTokens = 0) => ({
    startMs,
    rule,
    message,
    islands,
    sunTokens,
    gridTokens: 0,
    gridTotal: 0,
    balance: Number.NaN,
  });
  const speed = meanSpeed(expected);
  if (speed === undefined)
    return none(
      'no-forecast',
      'No island has told what energy it expects and how fast it trains; each keeps to its own rules.',
    );
  const hours = Math.max(0, Math.ceil((goal.deadlineMs - startMs) / HOUR_MS));
  // The first hour is under way, and the last ends at the deadline.
  const share = (hour: number): number => {
    const fromMs = Math.max(nowMs, startMs + hour * HOUR_MS);
    return Math.max(0, Math.min(goal.deadlineMs, startMs + (hour + 1) * HOUR_MS) - fromMs) / HOUR_MS;
  };
  const told = expected.map(({ forecast }) => hourly(forecast, startMs, hours, goal));
  const length = Math.max(0, ...told.map(({ sunW }) => sunW.length));
  let worst = 1;
  for (const { price } of told) for (const each of price) if (each > worst) worst = each;
  const sunWh = told.map(({ sunW }) => sunW.map((w, hour) => w * share(hour)));
  const tokensOf = (i: number): number => expected[i]!.tokensPerWh ?? speed;
  const sunTokens = sunWh.reduce((sum, its, i) => sum + tokensOf(i) * its.reduce((a, b) => a + b, 0), 0);
  const budgets = (gridWh: (i: number) => readonly number[]): readonly IslandBudget[] =>
    expected.map(({ island }, i) => ({ island, sunWh: sunWh[i]!, gridWh: gridWh(i) }));
  const noGrid = told.map(({ gridW }) => gridW.map(() => 0));
  // Where forecasts end before the deadline, their share of the time until then is planned.
  const aheadMs = Math.min(goal.deadlineMs, startMs + length * HOUR_MS) - nowMs;
  const due = aheadMs > 0 ? goal.tokensLeft * Math.min(1, aheadMs / (goal.deadlineMs - nowMs)) : goal.tokensLeft;
  const missing = due - sunTokens;
  if (missing <= 0)
    return {
      ...none(
        null,
        'The sun is expected to be enough; nothing is taken from the grid.',
        budgets((i) => noGrid[i]!),
        sunTokens,
      ),
      balance: balanceOf(sunWh, noGrid, told),
    };
  const islands = expected.map(({ island, forecast }, i): PlanIsland => {
    const { gridW, price } = told[i]!;
    const padded = (values: readonly number[], other: number): Float64Array =>
      Float64Array.from({ length }, (_, hour) => values[hour] ?? other);
    const available = seriesOf(
      startMs,
      HOUR_MS,
      padded(
        gridW.map((w, hour) => w * share(hour)),
        Number.NaN,
      ),
      {
        quality: 'assumed',
        method: 'as the island tells',
      },
    );
    const perKWh = padded(
      price.map((each) => (Number.isNaN(each) ? worst : each)),
      worst,
    );
    return {
      name: island,
      availableW: { low: available, mid: available, high: available },
      tokensPerWh: tokensOf(i),
      minW: 0,
      maxW: forecast.mostW,
      intensityGPerKWh: perKWh,
      pricePerKWh: perKWh,
    };
  });
  const job = { tokens: missing, deadlineMs: startMs + length * HOUR_MS, objective: goal.objective };
  const plan = planGreedy(islands, job);
  if (plan.kind !== 'plan') {
    const rule = plan.kind === 'infeasible' ? plan.rule : 'refused';
    return none(
      rule,
      `${plan.message} Each island keeps to its own rules.`,
      budgets((i) => told[i]!.gridW.map((w, hour) => w * share(hour))),
      sunTokens,
    );
  }
  const gridWh = plan.energyWh.map((its, i) => [...its.subarray(0, told[i]!.gridW.length)]);
  return {
    startMs,
    rule: null,
    message: `${Math.round((100 * sunTokens) / due)} % of the tokens of the next ${Math.round(aheadMs / HOUR_MS)} h by the sun, the rest in the ${goal.objective === 'carbon' ? 'cleanest' : 'cheapest'} hours of the grid.`,
    islands: budgets((i) => gridWh[i]!),
    sunTokens,
    gridTokens: plan.tokens,
    gridTotal: plan.total,
    balance: balanceOf(sunWh, gridWh, told),
  };
}

/** What an island is told of its part of a plan; null where its owner's rules alone count. */
export function gridPlanOf(
  { rule, startMs }: RunPlan,
  budget: IslandBudget,
  objective: RunGoal['objective'],
): GridPlan | null {
  if (rule !== null || budget.gridWh.length === 0) return null;
  return { startS: startMs / 1000, gridWh: [...budget.gridWh], objective };
}

interface Hourly {
  readonly sunW: readonly number[];
  readonly gridW: readonly number[];
  /** g or currency per kWh; NaN where nobody knows. */
  readonly price: readonly number[];
}

/** From the plan's start to the deadline, or to where the forecast ends. */
function hourly(
  { startS, sunW, gridW, intensityGPerKWh, pricePerKWh }: IslandForecast,
  startMs: number,
  hours: number,
  goal: RunGoal,
): Hourly {
  const first = (startMs - 1000 * startS) / HOUR_MS;
  // Of another clock: nothing of it can be placed.
  if (Math.abs(first) > MOST_HOURS) return { sunW: [], gridW: [], price: [] };
  const from = (values: readonly (number | null)[], before: number): readonly number[] =>
    Array.from(
      { length: Math.max(0, Math.min(hours, values.length - first)) },
      (_, hour) => values[first + hour] ?? before,
    );
  return {
    sunW: from(sunW[goal.trust], 0),
    gridW: from(gridW, 0),
    price: from(goal.objective === 'carbon' ? intensityGPerKWh : pricePerKWh, Number.NaN),
  };
}

/** Tokens a Wh of those that know theirs; undefined where nobody does. */
function meanSpeed(expected: readonly Expected[]): number | undefined {
  const known = expected.flatMap(({ tokensPerWh }) => tokensPerWh ?? []);
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length;
}

const balanceOf = (
  sunWh: readonly (readonly number[])[],
  gridWh: readonly (readonly number[])[],
  told: readonly Hourly[],
): number => {
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return participationBalance(
    told.map(({ gridW }, i) => ({
      usedWh: sum(sunWh[i]!) + sum(gridWh[i]!),
      availableWh: sum(sunWh[i]!) + sum(gridW),
    })),
  );
};
