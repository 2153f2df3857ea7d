import { has, withoutEntry } from './persistent-map.ts';
import { canHandIn, trainingNames } from './roster.ts';
import type { Step } from './step.ts';

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
