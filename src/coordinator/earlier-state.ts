import { UNKNOWN_PACE } from './claims.ts';
import { mapIslands } from './roster.ts';
import type { RunState } from './state.ts';

/** A snapshot of an earlier version of Heliotrope, with what it did not have yet. An evaluation that was under way is forgotten: the next merge has its own. */
export function upgradeState(state: RunState): RunState {
  if (state.early !== undefined) return state;
  return {
    ...state,
    evaluation: null,
    early: [],
    evaluateMs: state.evaluateMs ?? null,
    partTokens: state.partTokens ?? [],
    islands: mapIslands(state.islands, (island) => ({
      ...island,
      evaluates: island.evaluates ?? true,
      lapses: island.lapses ?? 0,
      missed: 0,
      paces: state.fragments.map(() => UNKNOWN_PACE),
    })),
    fragments: state.fragments.map((fragment) => ({
      ...fragment,
      lengths: fragment.lengths ?? [],
      pace: null,
      fastest: null,
    })),
  };
}
