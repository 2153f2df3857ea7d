import type { OuterSettings } from '../outer/settings.ts';

/** An island's view of one fragment: what it did since it last received it (Decoupled DiLoCo's counters). */
export interface FragmentClock {
  readonly version: number;
  readonly steps: number;
  readonly tokens: number;
  /** Steps since receipt at which it reports the fragment due; 0 once the run needs no more of it. */
  readonly stepsUntilDue: number;
  readonly reported: boolean;
  /** When the island began to hold for it; it holds once a version, for the grace at most. */
  readonly heldSinceMs: number | null;
}

export const received = (version: number, stepsUntilDue: number): FragmentClock => ({
  version,
  steps: 0,
  tokens: 0,
  stepsUntilDue,
  reported: false,
  heldSinceMs: null,
});

export const stepped = (clock: FragmentClock, tokens: number): FragmentClock => ({
  ...clock,
  steps: clock.steps + 1,
  tokens: clock.tokens + tokens,
});

export const isDue = (clock: FragmentClock): boolean =>
  !clock.reported && clock.stepsUntilDue > 0 && clock.steps >= clock.stepsUntilDue;

/**
 * Until when the island has to hold for this fragment: null when it may train on. It may run `overlapSteps` ahead
 * of the merge, then waits; after the grace it trains on whether or not the merge came.
 */
export function holdsUntilMs(
  clock: FragmentClock,
  { overlapSteps, graceS }: Pick<OuterSettings, 'overlapSteps' | 'graceS'>,
  nowMs: number,
): number | null {
  if (clock.stepsUntilDue === 0) return Number.POSITIVE_INFINITY;
  if (clock.steps < clock.stepsUntilDue + overlapSteps) return null;
  const untilMs = (clock.heldSinceMs ?? nowMs) + graceS * 1000;
  return nowMs < untilMs ? untilMs : null;
}
