import { HelioError } from '../errors.ts';
import type { Effect } from './events.ts';
import { admit, leave } from './membership.ts';
import { applyMerge } from './merging.ts';
import { keysOf } from './persistent-map.ts';
import { islandOf } from './roster.ts';
import { afterMerge } from './run.ts';
import type { RunSettings, RunState } from './state.ts';
import { Step } from './step.ts';
import type { CommittedMerge, MergeRecord } from './store/run-store.ts';

/** The record of a merge: how it is made, whether a replayed decision agrees with it, and how it is applied. */

type Merge = Effect & { readonly kind: 'merge' };

/**
 * @param state as the merge left it
 * @param sha256Of the content hash of what an island contributed
 */
export function recordOf(
  { fragment, contributions }: Merge,
  state: RunState,
  sha256Of: (island: string) => string | undefined,
): MergeRecord {
  const { runStep, progress, nextStep } = state.fragments[fragment]!;
  return {
    contributions: contributions.map((contribution) => ({
      ...contribution,
      key: islandOf(state.islands, contribution.island)!.key,
      sha256: sha256Of(contribution.island) ?? '',
    })),
    runStep,
    progress,
    nextStep,
  };
}

/** Whether a merge that was decided is the one that was committed: of the same rounds of the same islands, weighed alike, and to the same steps. */
export function isAsRecorded(decided: Merge, state: RunState, { fragment, version, what }: CommittedMerge): boolean {
  if (decided.fragment !== fragment || decided.version !== version) return false;
  if (what === null) return true;
  const { runStep, progress, nextStep } = state.fragments[fragment]!;
  return (
    runStep === what.runStep &&
    progress === what.progress &&
    nextStep === what.nextStep &&
    decided.contributions.length === what.contributions.length &&
    decided.contributions.every((own, i) => {
      const { island, key, round, steps, tokens, weight } = what.contributions[i]!;
      return (
        own.island === island &&
        own.round === round &&
        own.steps === steps &&
        own.tokens === tokens &&
        own.weight === weight &&
        islandOf(state.islands, island)?.key === key
      );
    })
  );
}

/**
 * The state as if exactly what the record says had been merged, whatever the machine would have decided.
 *
 * @throws HelioError HELIO-3001 when it cannot follow on the state: a version is missing, or a round was merged before
 */
export function applyRecord(
  settings: RunSettings,
  state: RunState,
  { fragment, version, what }: CommittedMerge & { readonly what: MergeRecord },
  nowMs: number,
): { readonly state: RunState; readonly effects: readonly Effect[] } {
  const before = state.fragments[fragment];
  if (before?.version !== version - 1)
    throw inconsistent(fragment, version, `it follows on version ${before?.version}`);
  const step = new Step(settings, state, nowMs);
  const { contributions, ...steps } = what;
  for (const { island, key, round } of contributions) {
    // One that this version would not have let in was there, and its round is over.
    if (islandOf(step.state.islands, island) === undefined) {
      admit(step, { kind: 'joined', island, key, invitation: null, holds: [] });
      if (islandOf(step.state.islands, island) === undefined)
        throw inconsistent(fragment, version, `this run has no room for ${island}`);
      leave(step, island, 'known from the record of a merge', 'left');
    }
    const { merged } = step.islandOf(island);
    if (round <= merged[fragment]!)
      throw inconsistent(fragment, version, `round ${round} of ${island} was merged before`);
    step.island(island, { key });
  }
  const asked =
    before.stage.kind === 'pulling' ? keysOf(before.stage.asked) : contributions.map(({ island }) => island);
  const merged = contributions.map(({ key: _key, sha256: _sha256, ...contribution }) => contribution);
  applyMerge(step, { fragment, contributions: merged, ...steps }, asked);
  afterMerge(step);
  return { state: step.state, effects: step.effects };
}

const inconsistent = (fragment: number, version: number, why: string): HelioError =>
  new HelioError(
    'HELIO-3001',
    `The record of fragment ${fragment}'s merge to version ${version} contradicts the run's log: ${why}.`,
    'Restore the run from a copy. Nothing was changed.',
  );
