import type { OuterSettings } from '../outer/settings.ts';

/** An island's view of one fragment: what it did since it last received it (Decoupled DiLoCo's counters). */
export interface FragmentClock {
  readonly version: number;
  /** Number of the round that it counts. */
  readonly round: number;
  readonly steps: number;
  readonly tokens: number;
  /** Steps since receipt at which it reports the fragment due; 0 once the run needs no more of it. */
  readonly stepsUntilDue: number;
  readonly reported: boolean;
  /** Its counters at its last contribution; null before that, and after a restart, which has no copy. */
  readonly handedIn: Work | null;
  /** When the island began to hold for this fragment; it holds once a version, at most for the grace. */
  readonly heldSinceMs: number | null;
}

export interface Work {
  readonly steps: number;
  readonly tokens: number;
}

/** What an island did that is in no merge yet, when it receives one. */
export interface Unmerged extends Work {
  readonly since: 'receipt' | 'handing-in';
  /** Steps of it for which a merge was due before: they make none due again. */
  readonly dueBefore: number;
}

/** @param carried work that is kept on top of what was received */
export function received(
  version: number,
  round: number,
  stepsUntilDue: number,
  carried: Omit<Unmerged, 'since'> | null = null,
): FragmentClock {
  const { steps, tokens, dueBefore } = carried ?? { steps: 0, tokens: 0, dueBefore: 0 };
  return {
    version,
    round,
    steps,
    tokens,
    stepsUntilDue: stepsUntilDue === 0 ? 0 : stepsUntilDue + dueBefore,
    reported: false,
    handedIn: null,
    heldSinceMs: null,
  };
}

export const stepped = (clock: FragmentClock, tokens: number): FragmentClock => ({
  ...clock,
  steps: clock.steps + 1,
  tokens: clock.tokens + tokens,
});

export const handedIn = (clock: FragmentClock): FragmentClock => ({
  ...clock,
  handedIn: { steps: clock.steps, tokens: clock.tokens },
});

/**
 * What is in no merge when one comes that has the island's rounds up to `merged`: what it did since it handed in, or since it received if that came too
 * late. Null when it does not know.
 */
export function unmerged(clock: FragmentClock, merged: number): Unmerged | null {
  const { steps, tokens, handedIn: before } = clock;
  if (merged < clock.round) return { since: 'receipt', steps, tokens, dueBefore: before?.steps ?? steps };
  if (before === null) return null;
  return { since: 'handing-in', steps: steps - before.steps, tokens: tokens - before.tokens, dueBefore: 0 };
}

/** Whether what was merged is to be written now: so many steps after the island read the fragment, or when it is to be read again. */
export const isWritten = (
  { steps, handedIn: read }: FragmentClock,
  { overlapSteps }: Pick<OuterSettings, 'overlapSteps'>,
  stepsUntilDue: number,
): boolean => read === null || steps - read.steps >= Math.min(overlapSteps, stepsUntilDue);

export const isDue = (clock: FragmentClock): boolean =>
  !clock.reported && clock.stepsUntilDue > 0 && clock.steps >= clock.stepsUntilDue;

/**
 * Until when the island has to hold: null when it may train on. It may run `overlapSteps` ahead of a fragment's
 * merge, then waits; after the grace it trains on whether or not the merge came. When the run needs no more of any
 * fragment, it holds for good.
 */
export function holdsUntilMs(
  clocks: readonly FragmentClock[],
  { overlapSteps, graceS }: Pick<OuterSettings, 'overlapSteps' | 'graceS'>,
  nowMs: number,
): number | null {
  if (clocks.every((clock) => clock.stepsUntilDue === 0)) return Number.POSITIVE_INFINITY;
  const untilMs = clocks
    .filter((clock) => isAhead(clock, overlapSteps))
    .reduce(
      (latest, clock) => Math.max(latest, (clock.heldSinceMs ?? nowMs) + graceS * 1000),
      Number.NEGATIVE_INFINITY,
    );
  return untilMs > nowMs ? untilMs : null;
}

/** Marks since when the island holds for each fragment that it is ahead of. */
export const holding = (clocks: readonly FragmentClock[], overlapSteps: number, nowMs: number): FragmentClock[] =>
  clocks.map((clock) =>
    isAhead(clock, overlapSteps) && clock.heldSinceMs === null ? { ...clock, heldSinceMs: nowMs } : clock,
  );

const isAhead = (clock: FragmentClock, overlapSteps: number): boolean =>
  clock.stepsUntilDue > 0 && clock.steps >= clock.stepsUntilDue + overlapSteps;
