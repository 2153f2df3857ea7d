import { training } from './due.ts';
import type { Step } from './step.ts';

/**
 * A checkpoint is one cut through the run: the coordinator saves its state at once, and each island saves its own
 * when the request reaches it, before anything that is sent later. It is complete when all have answered.
 */
export function beginCheckpoint(step: Step, thenStop: boolean): void {
  const id = `${String(step.state.checkpoints + 1).padStart(6, '0')}`;
  const islands = training(step.state).map((island) => island.name);
  step.update({
    checkpoints: step.state.checkpoints + 1,
    checkpointMerges: step.state.merges,
    checkpoint: { id, merges: step.state.merges, waiting: islands, thenStop, sinceMs: step.nowMs },
    trainedMs: step.trainedMs,
    trainingSinceMs: step.nowMs,
  });
  step.effect({ kind: 'save', checkpoint: id });
  for (const name of islands) step.send(name, { kind: 'checkpoint', checkpoint: id });
}

export function islandSaved(step: Step, island: string, checkpoint: string): void {
  const pending = step.state.checkpoint;
  if (pending?.id !== checkpoint) return;
  step.update({ checkpoint: { ...pending, waiting: pending.waiting.filter((name) => name !== island) } });
}
