import { mapIslands } from './roster.ts';
import type { RunState } from './state.ts';

/** A snapshot of an earlier version of Heliotrope, with what it did not have yet. An evaluation that was under way is forgotten: the next merge has its own. */
export function fromEarlier(state: RunState): RunState {
  const isCurrent = state.partTokens !== undefined && state.fragments.every(({ lengths }) => lengths !== undefined);
  if (isCurrent) return state;
  return {
    ...state,
    evaluation: null,
    evaluateMs: state.evaluateMs ?? null,
    partTokens: state.partTokens ?? [],
    islands: mapIslands(state.islands, (island) => ({
      ...island,
      evaluates: island.evaluates ?? true,
      lapses: island.lapses ?? 0,
    })),
    fragments: state.fragments.map((fragment) => ({ ...fragment, lengths: fragment.lengths ?? [] })),
  };
}
