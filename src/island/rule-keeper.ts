import type { GridPlan, IslandForecast, SiteShare } from '../protocol/forecast.ts';
import type { Standing } from '../protocol/standing.ts';
import type { CoordinatorConnection, OwnerRules } from './host.ts';
import { hasHandedIn } from './rest.ts';
import type { IslandState } from './state.ts';

/** How long an island that rests stays connected for a merge of what it has. After that it sleeps, and hands in when it is back. */
const HAND_IN_MS = 10 * 60_000;

/** Keeps an island to its owner's rules: between two steps, so that what it has trained is whole. */
export class RuleKeeper {
  readonly #rules: OwnerRules;
  readonly #connection: CoordinatorConnection;
  readonly #nowMs: () => number;
  #restingSinceMs: number | null = null;
  #isAsleep = false;
  #nextStepMs = 0;
  #told: { readonly share: SiteShare; readonly tokensPerWh: number | null } | undefined;

  constructor(rules: OwnerRules, connection: CoordinatorConnection, nowMs: () => number) {
    this.#rules = rules;
    this.#connection = connection;
    this.#nowMs = nowMs;
    rules.watch(() => connection.wake());
  }

  /** What the machine has to be told; undefined while it knows. */
  news({ rest }: IslandState): Standing | null | undefined {
    return this.#rules.rest === rest ? undefined : this.#rules.rest;
  }

  /**
   * What the site expects, where the coordinator does not know it yet.
   *
   * @param tokensPerS while it computes; 0 before the first step
   */
  forecast({ link }: IslandState, tokensPerS: number): IslandForecast | undefined {
    const { share } = this.#rules;
    // Whoever answers on another connection may be another process, that knows of nothing.
    if (link !== 'joined' || share === undefined) {
      this.#told = undefined;
      return undefined;
    }
    const tokensPerWh = tokensPerS > 0 && share.mostW > 0 ? (3600 * tokensPerS) / share.mostW : null;
    if (this.#told?.share === share && isSameSpeed(this.#told.tokensPerWh, tokensPerWh)) return undefined;
    this.#told = { share, tokensPerWh };
    return { ...share, tokensPerWh };
  }

  planned(plan: GridPlan | null): void {
    this.#rules.planned?.(plan);
  }

  /** Ends the connection once everything is handed in, and opens it again when training may go on. */
  keepTo(state: IslandState): void {
    if (state.rest === null) {
      this.#restingSinceMs = null;
      if (!this.#isAsleep) return;
      this.#isAsleep = false;
      return this.#connection.awaken();
    }
    this.#restingSinceMs ??= this.#nowMs();
    const waitedMs = this.#nowMs() - this.#restingSinceMs;
    // Who rests by the run's own plan stays where the run can call it.
    if (state.rest.reason === 'planned-later') return;
    if (this.#isAsleep || (!hasHandedIn(state) && !(state.link === 'joined' && waitedMs > HAND_IN_MS))) return;
    this.#isAsleep = true;
    this.#connection.sleep();
  }

  /** A step is done: when the next may begin. */
  stepped(computeMs: number): void {
    // A step during which training was stopped owes no pause: its share is that of the rest, and not of the training after it.
    if (this.#rules.rest !== null) return;
    this.#nextStepMs = this.#nowMs() + computeMs * (1 / Math.min(1, Math.max(0.01, this.#rules.dutyShare)) - 1);
  }

  /** How long to wait before a step that the machine would take now. */
  get pauseMs(): number {
    return this.#rules.rest === null ? Math.max(0, this.#nextStepMs - this.#nowMs()) : 0;
  }
}

/** Steps are no clockwork: a plan is not made anew for less. */
const SAME_SPEED = 1.25;

const isSameSpeed = (before: number | null, now: number | null): boolean =>
  before === null || now === null ? before === now : Math.max(before / now, now / before) < SAME_SPEED;
