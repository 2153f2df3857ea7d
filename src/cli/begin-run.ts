import path from 'node:path';
import type { RunRecord } from '../coordinator/events.ts';
import { recover } from '../coordinator/recovery.ts';
import { initialState, runStepOf } from '../coordinator/run.ts';
import { WorkerAggregation } from '../coordinator/server/worker-aggregation.ts';
import type { RunSettings, RunState } from '../coordinator/state.ts';
import type { BlobStore } from '../coordinator/store/blobs.ts';
import type { RunStore } from '../coordinator/store/run-store.ts';
import { HelioError } from '../errors.ts';
import { checkContinued } from './outer-checks.ts';
import { initialParameters, type PreparedRun } from './prepare-run.ts';
import type { Summary } from './records.ts';
import { openCheckpoint } from './run-checkpoint.ts';
import { readJson } from './run-folder.ts';

export interface Beginning {
  readonly prepared: PreparedRun;
  readonly folder: string;
  readonly store: RunStore;
  readonly blobs: BlobStore;
  readonly settings: RunSettings;
  /** Whether there is to be something to go on from. */
  readonly resume: boolean;
}

export interface Begun {
  readonly state: RunState;
  /** Training time so far of a run that goes on. */
  readonly recoveredMs: number | undefined;
  /** Merges since the newest checkpoint, as they were recorded or should have been. */
  readonly records: readonly RunRecord[];
  readonly aggregation: WorkerAggregation;
}

/**
 * A run's state and tensors: of a new one as it begins, of another as its store has them, from the newest checkpoint and every merge that was
 * committed after it.
 *
 * @throws HelioError HELIO-1001 when its run file was changed in what cannot be, HELIO-1005 when the run is finished, HELIO-3001 when something of it is damaged
 */
export async function beginRun({ prepared, folder, store, blobs, settings, resume }: Beginning): Promise<Begun> {
  const history = await store.history();
  const recovery = recover(history);
  if (recovery?.state.phase === 'finished' && runStepOf(recovery.state) >= settings.steps && isReported(folder)) {
    throw new HelioError(
      'HELIO-1005',
      `${folder} is finished: it is at step ${settings.steps} of ${settings.steps}.`,
      'To train longer, raise stop.steps in its run.yaml and resume again.',
    );
  }
  if (recovery === undefined && resume) {
    throw new HelioError(
      'HELIO-3001',
      `The store of ${folder} knows nothing of this run.`,
      'Restore it from a copy, or start the run afresh: `heliotrope train` with its run.yaml.',
    );
  }
  const last = history.sessions.at(-1);
  if (last !== undefined) checkContinued(last.settings.outer, settings.outer);
  const from =
    history.checkpoint === undefined
      ? { parameters: initialParameters(prepared) }
      : await openCheckpoint(blobs, history.checkpoint.blobs, prepared.fragments);
  const aggregation = await WorkerAggregation.begin(prepared.fragments, prepared.job.outer, from);
  try {
    if (recovery === undefined) {
      await store.beginSession(settings);
      return { state: initialState(settings), recoveredMs: undefined, records: [], aggregation };
    }
    const { merges, records, seq, trainedMs, complete, state } = recovery;
    for (const { fragment, blob } of merges) await aggregation.follow(fragment, await blobs.get(blob));
    await store.truncate(seq);
    await store.beginSession(settings);
    if (complete !== null) await store.commitCheckpoint(complete, prepared.job.checkpoints.keep);
    await forgetUnreferred(store, blobs);
    return { state, recoveredMs: trainedMs, records, aggregation };
  } catch (error) {
    await aggregation.close();
    throw error;
  }
}

/** Whether a finished run has its report: one that was killed before gets it now. */
const isReported = (folder: string): boolean =>
  readJson<Summary>(path.join(folder, 'summary.json'))?.status === 'finished';

/** A process that was killed may have left blobs that nothing refers to. */
async function forgetUnreferred(store: RunStore, blobs: BlobStore): Promise<void> {
  const referred = new Set(await store.blobs());
  for (const blob of await blobs.list()) if (!referred.has(blob)) await blobs.delete(blob);
}
