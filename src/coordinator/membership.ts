import type { Progress } from '../protocol/messages.ts';
import type { Island, RunState } from './state.ts';
import type { Step } from './step.ts';

/** Islands a run remembers, gone ones included. */
const MAX_ISLANDS = 10_000;

export const training = (state: RunState): readonly Island[] =>
  Object.values(state.islands).filter((island) => island.status === 'training');

/** All that are connected: they get every merged fragment, also while they join. */
export const present = (state: RunState): readonly Island[] =>
  Object.values(state.islands).filter((island) => island.status !== 'gone');

/** Takes an island in, or back under its name; the newcomer replaces a connection that is still open. */
export function admit(step: Step, name: string): void {
  const known = step.state.islands[name];
  if (known === undefined && Object.keys(step.state.islands).length >= MAX_ISLANDS) {
    step.send(name, {
      kind: 'refused',
      code: 'HELIO-4003',
      what: `The run knows ${MAX_ISLANDS} islands already.`,
      remedy: 'Join under the name of an island that is gone.',
    });
    return step.effect({ kind: 'disconnect', island: name });
  }
  const nobody = step.state.fragments.map(() => false);
  const island: Island = {
    name,
    status: 'joining',
    shard: known?.shard ?? freeShard(step.state, step.settings.expectedIslands),
    lastSeenMs: step.nowMs,
    expected: nobody,
    due: nobody,
    progress: null,
    past: known === undefined ? null : totalProgress(known),
    joins: (known?.joins ?? 0) + 1,
  };
  step.update({ islands: { ...step.state.islands, [name]: island } });
  step.record({ kind: 'island', island: name, status: 'joining', reason: known === undefined ? 'new' : 'back' });
  step.effect({ kind: 'send-state', island: name });
}

export function leave(step: Step, name: string, reason: string): void {
  step.island(name, { status: 'gone' });
  step.record({ kind: 'island', island: name, status: 'gone', reason });
}

/** Islands that were silent for longer than their lease are gone. @returns their names */
export function expireLeases(step: Step): readonly string[] {
  const silent = present(step.state).filter((i) => step.nowMs - i.lastSeenMs > step.settings.leaseMs);
  for (const { name, lastSeenMs } of silent) {
    leave(step, name, `silent for ${Math.round((step.nowMs - lastSeenMs) / 1000)} s`);
    step.effect({ kind: 'disconnect', island: name });
  }
  return silent.map((island) => island.name);
}

/** The lowest shard that no island has; with more islands than shards, the one that fewest have. */
function freeShard(state: RunState, shards: number): number {
  const holders = new Array<number>(shards).fill(0);
  for (const { shard } of Object.values(state.islands)) holders[shard % shards]!++;
  return holders.indexOf(Math.min(...holders));
}

/** Counters of an island over all its connections. */
export function totalProgress({ progress, past }: Pick<Island, 'progress' | 'past'>): Progress | null {
  if (progress === null || past === null) return progress ?? past;
  return {
    ...progress,
    tokens: past.tokens + progress.tokens,
    skippedSteps: past.skippedSteps + progress.skippedSteps,
    computeS: past.computeS + progress.computeS,
    waitS: past.waitS + progress.waitS,
    exchangeS: past.exchangeS + progress.exchangeS,
    evaluateS: past.evaluateS + progress.evaluateS,
    cpuS: past.cpuS + progress.cpuS,
    peakMemoryBytes: Math.max(past.peakMemoryBytes, progress.peakMemoryBytes),
  };
}
