import type { Reason, Standing } from '../protocol/standing.ts';
import { startingAt } from './claims.ts';
import { releaseEvaluation, wakeEvaluation } from './evaluation.ts';
import type { Event } from './events.ts';
import { keysOf } from './persistent-map.ts';
import { islandOf } from './roster.ts';
import type { Island, RunState } from './state.ts';
import type { Step } from './step.ts';

/**
 * Islands that are away by their owners' rules: the sun has set, the owner is at the machine. That is normal life and no failure. Nobody waits for them, a run
 * does not fail because all of them sleep, and each comes back by itself to its name and its shard.
 */

/** How much later than it said an island may come back: clouds are no clockwork. */
const LATE_MS = 24 * 3_600_000;
/** How long one is believed to come back that does not say when, and the longest absence that is believed. */
const UNSAID_MS = 3 * 24 * 3_600_000;
const LONGEST_MS = 14 * 24 * 3_600_000;

/** What an island says of itself. Only that it is away, or is no longer, changes anything. */
export function islandStands(step: Step, event: Event & { readonly kind: 'standing' }): void {
  const { island: name, standing } = event;
  const island = step.islandOf(name);
  step.island(name, { told: standing });
  const isAway = standing.state === 'away';
  if (island.status === 'training' && isAway) goAway(step, name, event);
  else if (island.status === 'away' && isAway)
    step.island(name, { rest: { ...island.rest!, untilMs: believedUntilMs(step.nowMs, event) } });
  else if (island.status === 'away') comeBack(step, island);
}

/** What it has trained it can hand in while it is connected: it names it. */
function goAway(step: Step, name: string, event: Event & { readonly kind: 'standing' }): void {
  const { nowMs } = step;
  step.island(name, {
    status: 'away',
    rest: { sinceMs: nowMs, untilMs: believedUntilMs(nowMs, event), connected: true },
    overdue: false,
  });
  releaseEvaluation(step, name);
  step.record({ kind: 'island', island: name, status: 'away', reason: why(event.standing) });
}

/** It was connected all the time, and has what was merged meanwhile. As a newcomer it is not waited for before its next merge. */
function comeBack(step: Step, { name, paces, rest: _, ...island }: Island): void {
  step.put({
    ...island,
    name,
    status: 'training',
    paces: paces.map((pace) => startingAt(pace, step.nowMs)),
    expected: island.expected.map(() => false),
    due: island.due.map(() => null),
  });
  step.update({ aloneSinceMs: null });
  wakeEvaluation(step);
  step.record({ kind: 'island', island: name, status: 'training', reason: 'back by its own rules' });
  if (step.state.phase === 'training' || step.state.phase === 'paused') step.send(name, { kind: 'start' });
}

const LOST: ReadonlySet<Reason> = new Set(['connection-lost', 'lease-expired', 'coordinator-restarted']);

/** An island that is away may sleep: its connection ends, and it stays what it is. What it had not handed in it keeps. */
export function fallsAsleep(step: Step, { name, status, rest, due }: Island, because: Reason): boolean {
  if (status !== 'away' || rest === undefined || !LOST.has(because)) return false;
  step.island(name, { rest: { ...rest, connected: false }, due: due.map(() => null) });
  return true;
}

/** After a restart nobody knows for how long the coordinator was gone. */
export const asleepAfterRestart = (nowMs: number) => ({ sinceMs: nowMs, untilMs: nowMs + LATE_MS, connected: false });

/** Whether somebody is away who is believed to come back: then a run without islands waits, and does not fail. */
export const isAnyoneExpectedBack = ({ islands }: RunState, nowMs: number): boolean =>
  keysOf(islands.away).some((name) => islandOf(islands, name)!.rest!.untilMs > nowMs);

const why = ({ reason, next }: Standing): string => (next === null ? reason : `${reason}: ${next.what}`);

const believedUntilMs = (nowMs: number, { backInMs }: Event & { readonly kind: 'standing' }): number =>
  nowMs + (backInMs === undefined ? UNSAID_MS : Math.min(LONGEST_MS, Math.max(0, backInMs) + LATE_MS));

/**
 * When an island that is away says it will be back, from now: the machine's own clock is no calendar.
 * @param nowS seconds since 1970
 */
export function backIn({ state, next }: Standing, nowS: number): { readonly backInMs?: number } {
  const atS = next?.atS ?? null;
  return state !== 'away' || atS === null ? {} : { backInMs: Math.max(0, Math.round(1000 * (atS - nowS))) };
}
