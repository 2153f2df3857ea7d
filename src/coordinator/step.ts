import { islandOf, withIsland } from './roster.ts';
import type { Effect, FragmentState, Island, RunRecord, RunSettings, RunState, Word } from './state.ts';

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
    this.update({ islands: withIsland(this.state.islands, { ...this.islandOf(name), ...change }) });
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
