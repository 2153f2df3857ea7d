import {
  type Decision,
  decide,
  newMemory,
  type Policy,
  type PolicyMemory,
  type SiteForecast,
  type SiteNow,
  shareOf,
} from '../../energy/policy/index.ts';
import { HOUR_MS } from '../../energy/series.ts';
import type { GridPlan, SiteShare } from '../../protocol/forecast.ts';
import type { Standing } from '../../protocol/standing.ts';
import type { OwnerRules } from '../host.ts';

/** A site as its governor sees it: measured, modelled or simulated. */
export interface SiteView {
  /** @param computeW what this machine draws, as far as is known */
  now(nowMs: number, computeW: number): SiteNow;
  forecast(nowMs: number): SiteForecast;
}

/** What happened between two decisions. */
export interface GovernedSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly site: SiteNow;
  readonly decision: Decision;
}

export interface GovernorOptions {
  readonly view: SiteView;
  readonly policy: Policy;
  readonly timeZone: string;
  /** The site's clock, Unix ms: the wall's, or a faster one of a simulated home. */
  readonly nowMs: () => number;
  /** How much faster it is than real time. */
  readonly speed?: number;
  readonly memory?: PolicyMemory | undefined;
  /** Told of every decision, with the time since the one before. */
  readonly onDecision?: (span: GovernedSpan) => void;
}

/**
 * Keeps an island to its site's policy. It decides when it is ticked, and tells the island when what it may do has changed: every few seconds for the sun, every
 * second for an owner who comes back to the machine.
 */
export class Governor implements OwnerRules {
  #options: GovernorOptions;
  readonly #watchers: (() => void)[] = [];
  #memory: PolicyMemory;
  #decision: Decision | undefined;
  #rest: Standing | null = null;
  #decidedMs: number | undefined;
  #plan: { readonly plan: GridPlan; readonly toldMs: number } | undefined;
  #share: { readonly forecast: SiteForecast; readonly hour: number; readonly share: SiteShare } | undefined;
  #machine: SiteNow['machine'] = { idleW: 0, leastW: 1, mostW: 1 };

  constructor(options: GovernorOptions) {
    this.#options = options;
    this.#memory = options.memory ?? newMemory(options.nowMs());
    this.tick();
  }

  /** Of a simulated home, whose hours are moments, no plan can be made. */
  get share(): SiteShare | undefined {
    return (this.#options.speed ?? 1) === 1 ? this.#share?.share : undefined;
  }

  planned(plan: GridPlan | null): void {
    this.#plan = plan === null ? undefined : { plan, toldMs: this.#options.nowMs() };
    this.tick();
  }

  get rest(): Standing | null {
    return this.#rest;
  }

  /** Power follows from the share of the time that it computes, between what the machine draws idle and at work. */
  get dutyShare(): number {
    const { idleW, mostW } = this.#machine;
    const powerW = this.#decision?.powerW ?? 0;
    return Math.min(1, Math.max(0.05, (powerW - idleW) / Math.max(1, mostW - idleW)));
  }

  get decision(): Decision {
    return this.#decision!;
  }

  get memory(): PolicyMemory {
    return this.#memory;
  }

  /** Its owner has other rules from now on. */
  obey(policy: Policy): void {
    this.#options = { ...this.#options, policy };
    // What the run is told of the site goes by its rules.
    this.#share = undefined;
    this.tick();
  }

  watch(changed: () => void): void {
    this.#watchers.push(changed);
  }

  tick(): void {
    const { view, policy, timeZone, onDecision } = this.#options;
    const nowMs = this.#options.nowMs();
    const before = this.#decision;
    const idleW = this.#machine.idleW;
    const site = { ...view.now(nowMs, Math.max(idleW, before?.powerW ?? idleW)), plan: this.#planAt(nowMs) };
    const forecast = view.forecast(nowMs);
    this.#keepShare(site, forecast, nowMs);
    this.#machine = site.machine;
    const decision = decide(site, forecast, { policy, timeZone }, this.#memory, nowMs);
    this.#memory = decision.memory;
    this.#decision = decision;
    const fromMs = this.#decidedMs ?? nowMs;
    this.#decidedMs = nowMs;
    // What it drew until now it drew by the decision before.
    onDecision?.({ fromMs, toMs: nowMs, site, decision: before ?? decision });
    this.#announce(before, decision, nowMs);
  }

  /** A coordinator tells its plan each hour: one that is silent plans no more, or is another. */
  #planAt(nowMs: number): GridPlan | undefined {
    const isFresh = this.#plan !== undefined && Math.abs(nowMs - this.#plan.toldMs) < PLAN_HOLDS_MS;
    return isFresh ? this.#plan?.plan : undefined;
  }

  /** Made anew with each forecast and each hour: not for each watt of the home. */
  #keepShare(site: SiteNow, forecast: SiteForecast, nowMs: number): void {
    const hour = Math.floor(nowMs / HOUR_MS);
    if (this.#share?.forecast === forecast && this.#share.hour === hour) return;
    this.#share = { forecast, hour, share: shareOf(site, forecast, this.#options, nowMs) };
  }

  /** The coordinator hears of another rule or another time, and not of each watt. */
  #announce(before: Decision | undefined, decision: Decision, nowMs: number): void {
    const isAway = decision.powerW === 0;
    const isNews =
      before === undefined ||
      isAway !== (before.powerW === 0) ||
      (isAway && !isSameRest(before.standing, decision.standing));
    if (isNews) this.#rest = isAway ? inRealTime(decision.standing, nowMs, this.#options.speed ?? 1) : null;
    if (isNews || before.powerW !== decision.powerW) for (const changed of this.#watchers) changed();
  }
}

/** A plan that was not told again for so long binds nobody. */
const PLAN_HOLDS_MS = 6 * HOUR_MS;
/** Times that differ by less are the same to whoever waits. */
const SAME_S = 600;

const isSameRest = (a: Standing, b: Standing): boolean =>
  a.reason === b.reason &&
  ((a.next?.atS ?? null) !== null) === ((b.next?.atS ?? null) !== null) &&
  Math.abs((a.next?.atS ?? 0) - (b.next?.atS ?? 0)) < SAME_S;

/** A simulated home's hour is a moment of the coordinator's. */
function inRealTime(standing: Standing, nowMs: number, speed: number): Standing {
  const { next } = standing;
  if (speed === 1 || next === null || next.atS === null) return standing;
  return { ...standing, next: { ...next, atS: Date.now() / 1000 + (next.atS - nowMs / 1000) / speed } };
}
