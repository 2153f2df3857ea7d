import { has, withoutEntry } from './persistent-map.ts';
import { canHandIn, trainingNames } from './roster.ts';
import type { PendingCheckpoint } from './state.ts';
import type { Step } from './step.ts';

/** However slow a disk is, a checkpoint ends after so many leases. */
const MOST_LEASES = 20;
/** Who needs so many times as long as half of the islands did is left out. */
const PATIENCE = 4;

/**
 * A checkpoint is one cut through the run: the coordinator saves its state at once, and each island saves its own
 * when the request reaches it, before anything that is sent later. It is complete when all have answered.
 */
export function beginCheckpoint(step: Step, thenStop: boolean): void {
  const id = `${String(step.state.checkpoints + 1).padStart(6, '0')}`;
  const { training } = step.state.islands;
  step.update({
    checkpoints: step.state.checkpoints + 1,
    checkpointMerges: step.state.merges,
    checkpoint: {
      id,
      merges: step.state.merges,
      waiting: training,
      open: training.size,
      asked: training.size,
      halfMs: null,
      thenStop,
      sinceMs: step.nowMs,
    },
    trainedMs: step.trainedMs,
    trainingSinceMs: step.nowMs,
  });
  step.effect({ kind: 'save', checkpoint: id });
  for (const name of trainingNames(step.state.islands)) step.send(name, { kind: 'checkpoint', checkpoint: id });
}

export function islandSaved(step: Step, island: string, checkpoint: string): void {
  const pending = step.state.checkpoint;
  if (pending?.id !== checkpoint || !has(pending.waiting, island)) return;
  const open = pending.open - (canHandIn(step.islandOf(island)) ? 1 : 0);
  step.update({ checkpoint: { ...pending, waiting: withoutEntry(pending.waiting, island), open } });
}

/**
 * Whether a checkpoint is still open: an island saves its model in seconds, one of hundreds of millions of parameters
 * in minutes. How long that takes the islands themselves say: half of them have answered, and the others get four
 * times as long, at least a lease. While fewer have answered they are waited for; one that is gone counts no longer.
 */
export function waitsForIslands(step: Step, checkpoint: PendingCheckpoint): boolean {
  const { open, asked, sinceMs } = checkpoint;
  if (open === 0) return false;
  const waitedMs = step.nowMs - sinceMs;
  const halfMs = checkpoint.halfMs ?? (2 * open <= asked ? waitedMs : null);
  if (halfMs !== checkpoint.halfMs) step.update({ checkpoint: { ...checkpoint, halfMs } });
  const { leaseMs } = step.settings;
  const mostMs = MOST_LEASES * leaseMs;
  return waitedMs < (halfMs === null ? mostMs : Math.min(mostMs, Math.max(leaseMs, PATIENCE * halfMs)));
}
