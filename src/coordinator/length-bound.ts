/**
 * How long a contribution may be. The bound is a multiple of the median length of what different islands handed in: each has one vote, its newest, so that
 * nobody moves the bound alone, however often he is merged or whatever he is merged with. It rests on lengths as they are; steps, which are claimed, can
 * only widen it.
 *
 * The votes are part of a fragment's state: a snapshot holds them, and a replay of the log leads to them again.
 */

/** The newest contribution of an island to a fragment. */
export interface LengthVote {
  readonly island: string;
  /** ‖Δₘ‖, as the coordinator measured it. */
  readonly length: number;
  readonly steps: number;
  /** How fast it trained (`claims.ts`); null where that was not measured. */
  readonly stepsPerMs?: number | null;
  /** How fast it computes, as it says itself; 0 when it has not. */
  readonly claimedTokensPerS?: number;
}

/** How many times longer than the median a contribution may be: no honest one is. */
const ABSURD = 1_000;
/** Islands whose votes make a bound. With fewer, one that lies could be the median. */
const CROWD = 3;
/** Votes that are kept; those of islands that were merged longest ago go first. */
const MAX_VOTES = 256;

/** With the votes of a merge, or of one contribution that was left out: what is too long for the others counts as well, lest few keep out many. */
export function withVotes(votes: readonly LengthVote[], fresh: readonly LengthVote[]): readonly LengthVote[] {
  const voted = new Set(fresh.map(({ island }) => island));
  return [...votes.filter(({ island }) => !voted.has(island)), ...thinned(fresh)].slice(-MAX_VOTES);
}

/** Of many, as many as are kept, evenly by length: their median stays what it is, whatever their names are. */
function thinned(votes: readonly LengthVote[]): readonly LengthVote[] {
  if (votes.length <= MAX_VOTES) return votes;
  const byLength = votes.toSorted((a, b) => a.length - b.length);
  return Array.from({ length: MAX_VOTES }, (_, i) => byLength[Math.floor(((i + 0.5) * votes.length) / MAX_VOTES)]!);
}

/**
 * @param steps that it took, as far as the coordinator believes it
 * @returns ‖Δₘ‖ that a contribution may have; infinite while too few islands have voted
 */
export function longestAllowed(votes: readonly LengthVote[], steps: number): number {
  const usual = votes.length < CROWD ? 0 : upperMedian(votes.map((vote) => vote.length));
  if (usual === 0) return Number.POSITIVE_INFINITY;
  const usualSteps = upperMedian(votes.map((vote) => vote.steps));
  return ABSURD * usual * Math.max(1, steps / Math.max(1, usualSteps));
}

/** Of an even number the larger of the two in the middle: a bound is rather too wide. */
const upperMedian = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
