import { type LengthVote, longestAllowed } from './length-bound.ts';
import type { FragmentState, Pace, RunSettings } from './state.ts';

/**
 * What is believed of what islands claim. A count that an island names is `claimed…` until it was bounded here: by the time that has passed on the
 * coordinator's clock, at a pace that several islands have shown, and by what the run's own settings allow. Weights, tokens that a stop rule counts, and the
 * run's step rest on bounded counts alone.
 *
 * An island's pace is measured by the coordinator: steps until it was due, by the time since it was sent the fragment. Each has one vote, and the median
 * is the usual pace; so one that lies makes nobody else slower or faster.
 */

export const UNKNOWN_PACE: Pace = { workSinceMs: null, receivedMs: null, stepsPerMs: null };

/** An island begins a round from the fragment as it is now. */
export const startingAt = ({ stepsPerMs }: Pace, nowMs: number): Pace => ({
  workSinceMs: nowMs,
  receivedMs: nowMs,
  stepsPerMs,
});

/** How many times faster than usual an island can be: a GPU beside small computers. */
const FASTEST = 64;
/** With `stepsBySpeed`: how many times the usual speed an island may claim. The steps of the others shrink by at most this factor. */
const BESIDE = 8;
/** How many times sooner than usual an island may be due where all are merged together, as it would shorten the rounds of the others. */
const EARLIEST = 4;
/** Rounds that an island may have trained through in one, where nobody knows a pace. */
const ROUNDS = 4;
/** A merge may advance the run by at most this many times the mean steps of its islands, without the fastest quarter. */
const LEAP = 4;
/** Islands needed for a usual pace and a usual number of steps. */
const CROWD = 3;

/** @returns null while too few have shown theirs */
export function usualPace(votes: readonly LengthVote[]): number | null {
  const paces = votes.flatMap(({ stepsPerMs }) => (typeof stepsPerMs === 'number' ? [stepsPerMs] : []));
  return paces.length < CROWD ? null : paces.toSorted((a, b) => a - b)[paces.length >> 1]!;
}

/**
 * Tokens a second of the fastest, by what islands say of themselves: no more than so many times what is usual. The others take fewer steps beside it.
 *
 * @returns null while nobody has said
 */
export function fastestSpeed(votes: readonly LengthVote[]): number | null {
  const said = votes.flatMap(({ claimedTokensPerS = 0 }) => (claimedTokensPerS > 0 ? [claimedTokensPerS] : []));
  if (said.length === 0) return null;
  const sorted = said.toSorted((a, b) => a - b);
  const most = sorted.length < CROWD ? Number.POSITIVE_INFINITY : BESIDE * sorted[(sorted.length - 1) >> 1]!;
  return Math.min(sorted.at(-1)!, most);
}

export interface Claim {
  readonly claimedSteps: number;
  readonly claimedTokens: number;
}

/** The steps and tokens of a claim, as far as there was time for them. */
export function boundedClaim(
  { outer, tokensPerStep }: Pick<RunSettings, 'outer' | 'tokensPerStep'>,
  { pace: usual }: Pick<FragmentState, 'pace'>,
  { workSinceMs }: Pace,
  { claimedSteps, claimedTokens }: Claim,
  nowMs: number,
): { readonly steps: number; readonly tokens: number } {
  const timeFor =
    usual === null || workSinceMs === null
      ? ROUNDS * (outer.innerSteps + outer.overlapSteps)
      : Math.ceil(FASTEST * usual * Math.max(0, nowMs - workSinceMs));
  const steps = Math.min(claimedSteps, Math.max(1, timeFor));
  // Logs of earlier versions do not say how many tokens a step has.
  const share = claimedSteps === 0 ? 0 : steps / claimedSteps;
  return {
    steps,
    tokens: Math.min(Math.floor(claimedTokens * share), steps * (tokensPerStep ?? Number.MAX_SAFE_INTEGER)),
  };
}

/** The largest norm that a contribution may have, given its bounded steps. */
export function mostLength(
  settings: Pick<RunSettings, 'outer' | 'tokensPerStep'>,
  fragment: Pick<FragmentState, 'pace' | 'lengths'>,
  pace: Pace,
  claim: Claim,
  nowMs: number,
): number {
  return longestAllowed(fragment.lengths, boundedClaim(settings, fragment, pace, claim, nowMs).steps);
}

/** Whether so many tokens are in so many steps: a contribution that claims more is left out. */
export const isConsistent = (
  { tokensPerStep }: Pick<RunSettings, 'tokensPerStep'>,
  { claimedSteps, claimedTokens }: Claim,
): boolean => tokensPerStep === undefined || claimedTokens <= claimedSteps * tokensPerStep;

/** From when on an island counts as due that has `planned` steps to take: now, or as soon as that can be. */
export function dueFromMs(
  { outer }: Pick<RunSettings, 'outer'>,
  { pace: usual }: Pick<FragmentState, 'pace'>,
  { receivedMs }: Pace,
  planned: number,
  nowMs: number,
): number {
  if (usual === null || receivedMs === null) return nowMs;
  const sooner = outer.pull === 'due' ? FASTEST : EARLIEST;
  return Math.max(nowMs, receivedMs + planned / (sooner * usual));
}

/** @param steps that it has taken since it was sent the fragment */
export const measured = (pace: Pace, steps: number, nowMs: number): Pace =>
  pace.receivedMs === null || steps === 0
    ? pace
    : { ...pace, stepsPerMs: steps / Math.max(1, nowMs - pace.receivedMs) };

/** Steps that a merge of islands may move the run by: it does not run ahead of what most of them have trained. */
export function mostProgress(steps: readonly number[]): number {
  const sorted = steps.toSorted((a, b) => a - b);
  if (sorted.length < CROWD) return sorted.at(-1) ?? 0;
  const most = sorted.slice(0, -Math.max(1, Math.floor(sorted.length / 4)));
  return (LEAP * most.reduce((sum, each) => sum + each, 0)) / most.length;
}
