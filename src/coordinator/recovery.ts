import { HelioError } from '../errors.ts';
import type { Effect, RunRecord } from './events.ts';
import { applyRecord, isAsRecorded } from './merge-records.ts';
import { initialState, react, trainedMsOf } from './run.ts';
import type { RunSettings, RunState } from './state.ts';
import { upgradeState } from './state-upgrade.ts';
import type { CommittedMerge, History, LoggedEvent } from './store/run-store.ts';

/** Where a run is according to its store, and how its tensors get there. */
export interface Recovery {
  readonly state: RunState;
  /** Training time of all sessions so far. */
  readonly trainedMs: number;
  /** Averaged pseudo-gradients to follow from the checkpoint's tensors, or from the initial ones, in this order. */
  readonly merges: readonly CommittedMerge[];
  /** What was recorded of these merges: whoever writes it down may have been killed first. And whether any was decided otherwise. */
  readonly records: readonly RunRecord[];
  /** The last event that counts: what came after it led to nothing that was committed. */
  readonly seq: number;
  /** A checkpoint that was complete, and may not have been marked so. */
  readonly complete: string | null;
}

type Outcome = ReturnType<typeof react>;

/**
 * Replays a run's events on its newest checkpoint: pure, and the machine decides again what it decided then. A merge was committed before
 * anyone was told of it; where the log ends in one that was not, it never happened.
 *
 * What was committed is the truth. Where the machine decides anything else than the record of a merge says, as another version of it may, the
 * record's word is taken: so no round is merged twice, and no merge is lost, whatever a new version does differently.
 *
 * @returns undefined when nothing of the run was kept
 * @throws HelioError HELIO-3001 when the log does not lead to all that was committed
 */
export function recover({ checkpoint, events, merges, sessions }: History): Recovery | undefined {
  const first = sessions[0];
  if (first === undefined) return undefined;
  const recorded = Map.groupBy(merges, ({ seq }) => seq);
  const lastRecordedSeq = merges.at(-1)?.seq ?? 0;
  let state = checkpoint === undefined ? initialState(first.settings) : upgradeState(checkpoint.state);
  let seq = checkpoint?.seq ?? 0;
  let trainedMs = state.trainedMs;
  let complete: string | null = null;
  /** The first merge that this version would not have decided so, and the newest complete checkpoint before it. */
  let differs: { readonly merge: CommittedMerge; readonly committed: RunState['committed'] } | undefined;
  const done: CommittedMerge[] = [];
  const records: RunRecord[] = [];
  let session = 0;
  for (const logged of events) {
    while (session + 1 < sessions.length && sessions[session + 1]!.seq < logged.seq) session++;
    const { settings } = sessions[session]!;
    const own = recorded.get(logged.seq) ?? [];
    let outcome = react(settings, state, logged.event, logged.atMs);
    if (!isAsCommitted(outcome, own)) {
      if (logged.seq > lastRecordedSeq) break;
      // Of one that does not say who was merged nobody can tell whether it is another that is decided later.
      const unknown = merges.find((merge) => merge.what === null && merge.seq >= logged.seq);
      if (unknown !== undefined)
        throw doesNotLead(
          `otherwise than to the merge of fragment ${unknown.fragment} to version ${unknown.version}`,
          checkpoint?.id,
        );
      const { committed } = state;
      outcome = asCommitted(settings, state, logged, own);
      differs ??= { merge: own[0] ?? merges.find((merge) => merge.seq > logged.seq)!, committed };
    }
    done.push(...own);
    records.push(
      ...outcome.effects.flatMap((e) => (e.kind === 'record' && e.record.kind === 'merge' ? [e.record] : [])),
    );
    // Which checkpoint another version would have begun says nothing of the one that is kept under its number.
    if (differs === undefined) complete = committedCheckpoint(outcome.effects) ?? complete;
    ({ state } = outcome);
    ({ seq } = logged);
    trainedMs = trainedMsOf(state, logged.atMs);
  }
  if (done.length !== merges.length)
    throw doesNotLead(`to ${done.length} of the ${merges.length} merges that were committed`, checkpoint?.id);
  if (differs !== undefined) {
    const { merge, committed } = differs;
    const { fragment, version } = merge;
    state = { ...state, committed };
    const taken = merges.filter((m) => m.seq >= merge.seq).length;
    records.push({ kind: 'took-records', merges: taken, fragment, version });
  }
  return { state, trainedMs, merges: done, records, seq, complete };
}

const mergesOf = ({ effects }: Outcome) => effects.filter((effect) => effect.kind === 'merge');

/** Whether an event led to what was committed of it. */
function isAsCommitted(outcome: Outcome, recorded: readonly CommittedMerge[]): boolean {
  const decided = mergesOf(outcome);
  return (
    decided.length === recorded.length && decided.every((merge, i) => isAsRecorded(merge, outcome.state, recorded[i]!))
  );
}

/** What an event led to then: what was merged is what the records say, and nothing else. */
function asCommitted(
  settings: RunSettings,
  state: RunState,
  { event, atMs }: LoggedEvent,
  recorded: readonly CommittedMerge[],
): Outcome {
  const held = react(settings, state, event, atMs, false);
  return recorded.reduce((before: Outcome, merge) => {
    const after = applyRecord(settings, before.state, { ...merge, what: merge.what! }, atMs);
    return { state: after.state, effects: [...before.effects, ...after.effects] };
  }, held);
}

const doesNotLead = (where: string, checkpoint = 'none'): HelioError =>
  new HelioError(
    'HELIO-3001',
    `The run's log leads ${where} since checkpoint ${checkpoint}.`,
    'Go on with the version of Heliotrope that wrote it, or restore the run from a copy. Nothing was changed.',
  );

const committedCheckpoint = (effects: readonly Effect[]): string | undefined =>
  effects.findLast((effect) => effect.kind === 'commit')?.checkpoint;
