import { HelioError } from '../errors.ts';
import { fromEarlier } from './earlier-state.ts';
import { initialState, react, trainedMsOf } from './run.ts';
import type { Effect, RunRecord, RunSettings, RunState } from './state.ts';
import type { CommittedMerge, History } from './store/run-store.ts';

/** Where a run is according to its store, and how its tensors get there. */
export interface Recovery {
  readonly state: RunState;
  /** Training time of all sessions so far. */
  readonly trainedMs: number;
  /** Averaged pseudo-gradients to follow from the checkpoint's tensors, or from the initial ones, in this order. */
  readonly merges: readonly CommittedMerge[];
  /** What was recorded of these merges: whoever writes it down may have been killed first. */
  readonly records: readonly RunRecord[];
  /** The last event that counts: what came after it led to nothing that was committed. */
  readonly seq: number;
  /** A checkpoint that was complete, and may not have been marked so. */
  readonly complete: string | null;
}

/**
 * Replays a run's events on its newest checkpoint: pure, and the machine decides again what it decided then. A merge was committed before
 * anyone was told of it; where the log ends in one that was not, it never happened.
 *
 * @returns undefined when nothing of the run was kept
 * @throws HelioError HELIO-3001 when the log does not lead to all that was committed
 */
export function recover({ checkpoint, events, merges, sessions }: History): Recovery | undefined {
  const first = sessions[0];
  if (first === undefined) return undefined;
  const committed = new Map(merges.map((merge) => [keyOf(merge), merge]));
  const settingsAt = (seq: number): RunSettings =>
    (sessions.findLast((session) => session.seq < seq) ?? first).settings;
  let state = checkpoint === undefined ? initialState(first.settings) : fromEarlier(checkpoint.state);
  let seq = checkpoint?.seq ?? 0;
  let trainedMs = state.trainedMs;
  let complete: string | null = null;
  const done: CommittedMerge[] = [];
  const records: RunRecord[] = [];
  for (const logged of events) {
    const step = react(settingsAt(logged.seq), state, logged.event, logged.atMs);
    const merged = step.effects
      .filter((effect) => effect.kind === 'merge')
      .map((effect) => committed.get(keyOf(effect)));
    if (merged.some((merge) => merge === undefined)) break;
    done.push(...merged.map((merge) => merge!));
    records.push(...step.effects.flatMap((e) => (e.kind === 'record' && e.record.kind === 'merge' ? [e.record] : [])));
    complete = committedCheckpoint(step.effects) ?? complete;
    ({ state } = step);
    ({ seq } = logged);
    trainedMs = trainedMsOf(state, logged.atMs);
  }
  if (done.length !== merges.length) {
    throw new HelioError(
      'HELIO-3001',
      `The run's log leads to ${done.length} of the ${merges.length} merges that were committed since checkpoint ${checkpoint?.id ?? 'none'}.`,
      'Go on with the version of Heliotrope that wrote it, or restore the run from a copy. Nothing was changed.',
    );
  }
  return { state, trainedMs, merges: done, records, seq, complete };
}

const keyOf = ({ fragment, version }: { readonly fragment: number; readonly version: number }): string =>
  `${fragment}:${version}`;

const committedCheckpoint = (effects: readonly Effect[]): string | undefined =>
  effects.findLast((effect) => effect.kind === 'commit')?.checkpoint;
