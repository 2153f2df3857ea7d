import { trainedMsOf } from '../run.ts';
import type { ServerOptions } from './options.ts';
import type { StateMachine } from './state-machine.ts';

/** So that the next coordinator replays nothing: it may be another version, that would decide otherwise. */
export async function saveState(options: ServerOptions, machine: StateMachine): Promise<void> {
  const { store, aggregation, onSave, nowMs } = options;
  const now = nowMs();
  const { state } = machine;
  const versions = await aggregation.steps();
  // Where a merge could not be committed, the log alone tells what happened.
  if (state.fragments.some(({ version }, fragment) => version !== versions[fragment])) return;
  const blobs = await onSave();
  machine.logProgress(now);
  const trainingSinceMs = state.trainingSinceMs === null ? null : now;
  await store.saveSuspended({ state: { ...state, trainedMs: trainedMsOf(state, now), trainingSinceMs }, blobs });
}
