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
    if (this.#isAsleep || (!hasHandedIn(state) && !(state.link === 'joined' && waitedMs > HAND_IN_MS))) return;
    this.#isAsleep = true;
    this.#connection.sleep();
  }

  /** A step is done: when the next may begin. */
  stepped(computeMs: number): void {
    this.#nextStepMs = this.#nowMs() + computeMs * (1 / Math.min(1, Math.max(0.01, this.#rules.dutyShare)) - 1);
  }

  /** How long to wait before a step that the machine would take now. */
  get pauseMs(): number {
    return this.#rules.rest === null ? Math.max(0, this.#nextStepMs - this.#nowMs()) : 0;
  }
}
