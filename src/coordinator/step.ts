import type { Effect, RunRecord, Word } from './events.ts';
import { has } from './persistent-map.ts';
import { canHandIn, islandOf, withIsland } from './roster.ts';
import type { FragmentState, Island, RunSettings, RunState } from './state.ts';

/** A time that never comes: a number, so that it is JSON. */
export const NEVER_MS = Number.MAX_SAFE_INTEGER;

/** One reaction under way: the state so far and the effects so far. It lives within one call of `react`. */
export class Step {
  readonly settings: RunSettings;
  readonly nowMs: number;
  readonly effects: Effect[] = [];
  /** Whether a merge that is ready is one. */
  readonly mayMerge: boolean;
  state: RunState;

  constructor(settings: RunSettings, state: RunState, nowMs: number, mayMerge = true) {
    this.settings = settings;
    this.mayMerge = mayMerge;
    this.state = state;
    this.nowMs = nowMs;
  }

  /** Training time so far, over all sessions of the run. */
  get trainedMs(): number {
    const { trainedMs, trainingSinceMs } = this.state;
    return trainedMs + (trainingSinceMs === null ? 0 : this.nowMs - trainingSinceMs);
  }

  update(change: Partial<RunState>): void {
    this.state = { ...this.state, ...change };
  }

  /** One that the run knows. */
  islandOf(name: string): Island {
    return islandOf(this.state.islands, name)!;
  }

  island(name: string, change: Partial<Island>): void {
    this.put({ ...this.islandOf(name), ...change });
  }

  /** A new island, or another state of one that is there. */
  put(island: Island): void {
    const { name } = island;
    const could = canHandIn(islandOf(this.state.islands, name));
    this.update({ islands: withIsland(this.state.islands, island) });
    if (could !== canHandIn(island)) this.#answersExpected(name, could ? -1 : 1);
  }

  /** Whoever can hand in is waited for where it was asked and has not answered: that is counted along. */
  #answersExpected(name: string, by: 1 | -1): void {
    for (const [index, { stage }] of this.state.fragments.entries())
      if (stage.kind === 'pulling' && has(stage.asked, name) && !has(stage.arrived, name))
        this.fragment(index, { stage: { ...stage, open: stage.open + by } });
    const { checkpoint } = this.state;
    if (checkpoint !== null && has(checkpoint.waiting, name))
      this.update({ checkpoint: { ...checkpoint, open: checkpoint.open + by } });
  }

  fragment(index: number, change: Partial<FragmentState>): void {
    const fragment = { ...this.state.fragments[index]!, ...change };
    this.update({ fragments: this.state.fragments.with(index, fragment) });
  }

  effect(effect: Effect): void {
    this.effects.push(effect);
  }

  send(island: string, message: Word): void {
    this.effect({ kind: 'send', island, message });
  }

  record(record: RunRecord): void {
    this.effect({ kind: 'record', record });
  }
}
