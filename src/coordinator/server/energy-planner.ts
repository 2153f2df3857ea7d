import { type Expected, gridPlanOf, planRun, type RunGoal, type RunPlan } from '../../energy/schedule/index.ts';
import { HOUR_MS } from '../../energy/series.ts';
import type { GridPlan, IslandForecast } from '../../protocol/forecast.ts';
import type { Job } from '../../protocol/run-file.ts';
import type { RunRecord } from '../events.ts';
import { has } from '../persistent-map.ts';
import type { RunState } from '../state.ts';

export interface PlannerOptions {
  readonly goal: Omit<RunGoal, 'tokensLeft'> & { readonly tokens: number };
  /** Unix time, s. */
  readonly nowS: () => number;
  readonly state: () => RunState;
  /** To an island that is connected and keeps to plans; nothing happens otherwise. */
  readonly tell: (island: string, plan: GridPlan | null) => void;
  readonly record: (record: RunRecord) => void;
}

/** What a host sees of the plan. */
export interface PlanView extends RunPlan {
  readonly tokensLeft: number;
  readonly deadlineMs: number;
  readonly objective: RunGoal['objective'];
}

/** What is known of an island: what it tells, and what came of it. */
interface Kept {
  forecast: IslandForecast;
  heardMs: number;
  /** Of the plans so far. */
  expectedTokens: number;
  mergedTokens: number;
  /** While it trained. */
  trainedMs: number;
  trainsSinceMs: number | null;
}

/** Without news a plan is made anew after this, and with news after that: each costs milliseconds, and there may be thousands of islands. */
const PLAN_MS = 10 * 60_000;
const NEWS_MS = 10_000;
/** A forecast that was not renewed for so long is worth nothing. */
const STALE_MS = 6 * 3_600_000;
/** Forecasts begin about now, whatever clock an island has. */
const SKEW_S = 2 * 3_600;
/** An island that has trained for so long is as fast as what was merged of it; until then its word counts, up to so many times the others' median. */
const MEASURED_MS = 10 * 60_000;
const BELIEVED = 4;
/** So many hours of work are expected of an island before it has to have handed in any. */
const TRUSTED_HOURS = 2;
/** However little came of an island, it is planned with: it may have been ill. */
const LEAST_SHARE = 0.01;

/**
 * Plans when the islands of a run take power from the grid, and tells them. It decides nothing of the run itself: an island that rests by the plan says so as
 * one that rests by its owner's rules, so that no merge waits for it.
 */
export class EnergyPlanner {
  readonly #options: PlannerOptions;
  readonly #islands = new Map<string, Kept>();
  readonly #told = new Map<string, string>();
  #plan: RunPlan | undefined;
  #plannedMs = Number.NEGATIVE_INFINITY;
  #isNews = false;
  #recorded = '';

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** @returns undefined where the run file asks for no plan */
  static of(
    { job, nowS }: { readonly job: Job; readonly nowS: () => number },
    handlers: Pick<PlannerOptions, 'state' | 'tell' | 'record'>,
  ): EnergyPlanner | undefined {
    const { plan } = job.energy;
    const { tokens } = job.stop;
    if (plan === undefined || tokens === undefined) return undefined;
    const { objective, trust, deadline } = plan;
    return new EnergyPlanner({
      ...handlers,
      nowS,
      goal: { tokens, objective, trust, deadlineMs: Date.parse(deadline) },
    });
  }

  /** A forecast that begins at another time is of another clock, and is passed over. */
  hear(island: string, forecast: IslandForecast): void {
    const nowS = this.#options.nowS();
    if (Math.abs(forecast.startS - nowS) > SKEW_S) return;
    const known = this.#islands.get(island);
    if (known === undefined)
      this.#islands.set(island, {
        forecast,
        heardMs: 1000 * nowS,
        expectedTokens: 0,
        mergedTokens: 0,
        trainedMs: 0,
        trainsSinceMs: has(this.#options.state().islands.training, island) ? 1000 * nowS : null,
      });
    else Object.assign(known, { forecast, heardMs: 1000 * nowS });
    // It may have come anew, and know of nothing.
    this.#told.delete(island);
    this.#isNews = true;
  }

  /** What was merged of an island, and how long it trained for that, is what its forecasts are worth. */
  saw(record: RunRecord, fragments: number): void {
    const nowMs = 1000 * this.#options.nowS();
    if (record.kind === 'merge')
      for (const { island, tokens } of record.contributions) {
        const known = this.#islands.get(island);
        if (known !== undefined) known.mergedTokens += tokens / fragments;
      }
    const known = record.kind === 'island' ? this.#islands.get(record.island) : undefined;
    if (known === undefined || record.kind !== 'island') return;
    known.trainedMs = trainedMs(known, nowMs);
    known.trainsSinceMs = record.status === 'training' ? nowMs : null;
  }

  tick(): void {
    const nowMs = 1000 * this.#options.nowS();
    const sinceMs = nowMs - this.#plannedMs;
    // A clock that was set back says nothing of how old the plan is.
    if (this.#islands.size === 0 || (sinceMs >= 0 && sinceMs < (this.#isNews ? NEWS_MS : PLAN_MS))) return;
    this.#count(nowMs);
    this.#isNews = false;
    this.#plannedMs = nowMs;
    for (const [island, { heardMs }] of this.#islands) if (nowMs - heardMs > STALE_MS) this.#islands.delete(island);
    const expected = this.#expected(nowMs);
    this.#plan = planRun(this.#goal(), expected, nowMs);
    this.#tell();
    this.#note();
  }

  /** Undefined before the first plan. */
  get view(): PlanView | undefined {
    if (this.#plan === undefined) return undefined;
    const { tokensLeft, deadlineMs, objective } = this.#goal();
    return { ...this.#plan, tokensLeft, deadlineMs, objective };
  }

  #expected(nowMs: number): readonly Expected[] {
    const speeds = [...this.#islands.values()].map((known) => speedOf(known, nowMs));
    const median = speeds.filter((speed) => speed !== null).sort((a, b) => a - b);
    const most = BELIEVED * (median[Math.floor((median.length - 1) / 2)] ?? 0);
    return [...this.#islands].map(([island, known], i) => {
      const speed = speeds[i]!;
      const believed = speed === null || isMeasured(known, nowMs) ? speed : Math.min(speed, most);
      return {
        island,
        forecast: known.forecast,
        tokensPerWh: believed === null ? null : believed * reliability(known, believed),
      };
    });
  }

  #goal(): RunGoal {
    const { tokens, ...goal } = this.#options.goal;
    return { ...goal, tokensLeft: Math.max(0, tokens - this.#options.state().mergedTokens) };
  }

  /** What the plan expected of each island since it was made. */
  #count(nowMs: number): void {
    if (this.#plan === undefined || this.#plan.rule !== null) return;
    const hour = Math.floor((this.#plannedMs - this.#plan.startMs) / HOUR_MS);
    const share = Math.min(1, Math.max(0, nowMs - this.#plannedMs) / HOUR_MS);
    for (const { island, sunWh, gridWh } of this.#plan.islands) {
      const known = this.#islands.get(island);
      const speed = known === undefined ? null : speedOf(known, nowMs);
      if (known !== undefined && speed !== null)
        known.expectedTokens += ((sunWh[hour] ?? 0) + (gridWh[hour] ?? 0)) * share * speed;
    }
  }

  #tell(): void {
    const { goal, tell } = this.#options;
    const budgets = new Map(this.#plan!.islands.map((budget) => [budget.island, budget]));
    for (const island of this.#islands.keys()) {
      const budget = budgets.get(island);
      const plan = budget === undefined ? null : gridPlanOf(this.#plan!, budget, goal.objective);
      // Hours alone matter to it: a Wh more or less is no news.
      const pattern = plan === null ? 'none' : `${plan.startS} ${plan.gridWh.map((wh) => (wh > 0 ? 1 : 0)).join('')}`;
      if (this.#told.get(island) === pattern) continue;
      this.#told.set(island, pattern);
      tell(island, plan);
    }
  }

  #note(): void {
    const { rule, message, sunTokens, gridTokens, gridTotal, islands } = this.#plan!;
    const { tokensLeft, deadlineMs, objective } = this.#goal();
    const noted = `${rule} ${islands.length} ${Math.round(Math.log2(1 + gridTokens) * 4)}`;
    if (noted === this.#recorded) return;
    this.#recorded = noted;
    const deadlineS = deadlineMs / 1000;
    this.#options.record({
      kind: 'plan',
      rule,
      message,
      objective,
      deadlineS,
      tokensLeft,
      sunTokens,
      gridTokens,
      gridTotal,
      islands: islands.length,
    });
  }
}

const trainedMs = ({ trainedMs: before, trainsSinceMs }: Kept, nowMs: number): number =>
  before + (trainsSinceMs === null ? 0 : Math.max(0, nowMs - trainsSinceMs));

const isMeasured = (known: Kept, nowMs: number): boolean => trainedMs(known, nowMs) >= MEASURED_MS;

/** Tokens a Wh: as measured where it has trained for long enough, else by its own word. */
function speedOf(known: Kept, nowMs: number): number | null {
  const { mostW, tokensPerWh } = known.forecast;
  if (!isMeasured(known, nowMs) || mostW === 0) return tokensPerWh;
  const measured = known.mergedTokens / (mostW * (trainedMs(known, nowMs) / HOUR_MS));
  return measured > 0 ? measured : tokensPerWh;
}

/** What came of what it was to train: it is trusted for a while, and then by its deeds. */
function reliability({ forecast, expectedTokens, mergedTokens }: Kept, speed: number): number {
  const trusted = TRUSTED_HOURS * forecast.mostW * speed;
  if (expectedTokens + trusted === 0) return 1;
  return Math.max(LEAST_SHARE, Math.min(1, (mergedTokens + trusted) / (expectedTokens + trusted)));
}
