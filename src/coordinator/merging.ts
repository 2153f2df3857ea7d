import { weightOf } from '../outer/merge.ts';
import { standing } from '../protocol/standing.ts';
import { boundedClaim, dueFromMs, fastestSpeed, measured, usualPace } from './claims.ts';
import {
  claimedSpeedOf,
  isAdmitted,
  isAwaited,
  nextDue,
  type Pulling,
  partOfRound,
  stepsUntilDue,
  training,
  wholeRound,
} from './due.ts';
import type { Event } from './events.ts';
import { type LengthVote, withVotes } from './length-bound.ts';
import { isConnected, leave } from './membership.ts';
import {
  emptyMap,
  entriesOf,
  entryOf,
  has,
  keysOf,
  mapFrom,
  valuesOf,
  withEntry,
  withoutEntry,
} from './persistent-map.ts';
import { allIslands, canHandIn } from './roster.ts';
import type { FragmentState, Island, Merged, RunSettings, RunState } from './state.ts';
import { NEVER_MS, type Step } from './step.ts';

/** A fragment from one merge to the next: who is due, who is asked, how long a merge waits, and what is merged (Decoupled DiLoCo, arXiv 2604.21428). */

export function islandDue(step: Step, { island, fragment, version, slackMs }: Event & { readonly kind: 'due' }): void {
  const { settings, state, nowMs } = step;
  const known = state.fragments[fragment];
  if (known === undefined || !isAdmitted(settings, known, version)) return;
  const { paces, due, status } = step.islandOf(island);
  if (status === 'away') return partlyDue(step, island, fragment);
  const key = `${island} ${fragment}`;
  // Once a version is enough: what is said again would fill the log.
  if (due[fragment] !== null || entryOf(state.early, key)?.version === known.version) return;
  const planned = plannedSteps(settings, known, stepsUntilDue(settings, state, fragment, island));
  const fromMs = dueFromMs(settings, known, paces[fragment]!, planned, nowMs);
  if (fromMs > nowMs) {
    const early = { island, fragment, version: known.version, fromMs, holdsMs: nowMs + slackMs };
    return step.update({
      early: withEntry(state.early, key, early),
      earlyFromMs: Math.min(state.earlyFromMs, nextLookMs(fromMs)),
    });
  }
  step.island(island, { paces: paces.with(fragment, measured(paces[fragment]!, planned, nowMs)) });
  countDue(step, island, fragment, nowMs + slackMs);
}

/**
 * An island that its owner's rules have stopped hands in what it has, however little: one step, if there was time for it. It holds already, so no window
 * closes for it.
 */
function partlyDue(step: Step, island: string, index: number): void {
  const { paces, due } = step.islandOf(island);
  if (
    due[index] !== null ||
    dueFromMs(step.settings, step.state.fragments[index]!, paces[index]!, 1, step.nowMs) > step.nowMs
  )
    return;
  countDue(step, island, index, NEVER_MS);
}

/** Steps from when an island writes a fragment to when it is due: with an exact overlap it has gone on for that since it read it. */
const plannedSteps = ({ outer }: RunSettings, { version }: FragmentState, steps: number): number =>
  outer.exactOverlap && version > 0 ? Math.max(1, steps - outer.overlapSteps) : steps;

/** All who were due too early are looked at together, so many times a second at most: they may be many, each with a time of its own. */
const nextLookMs = (fromMs: number): number => Math.min(NEVER_MS, Math.ceil(fromMs / EARLY_LOOK_MS) * EARLY_LOOK_MS);
const EARLY_LOOK_MS = 250;

function countDue(step: Step, island: string, fragment: number, holdsMs: number): void {
  step.island(island, { due: step.islandOf(island).due.with(fragment, holdsMs), overdue: false });
  const { stage } = step.state.fragments[fragment]!;
  if (stage.kind === 'grace')
    step.fragment(fragment, { stage: { ...stage, holdsMs: Math.min(stage.holdsMs, holdsMs) } });
}

/** Whoever was due too early is due now. What was said before a merge, or by one that has left since, is forgotten. */
function countEarly(step: Step): void {
  const { early, earlyFromMs, fragments } = step.state;
  if (early.size === 0 || step.nowMs < earlyFromMs) return;
  const standing = valuesOf(early).filter(
    ({ island, fragment, version }) =>
      fragments[fragment]!.version === version && step.islandOf(island).status === 'training',
  );
  const waiting = standing.filter(({ fromMs }) => fromMs > step.nowMs);
  step.update({
    early: mapFrom(waiting.map((one) => [`${one.island} ${one.fragment}`, one])),
    earlyFromMs: nextLookMs(waiting.reduce((first, { fromMs }) => Math.min(first, fromMs), NEVER_MS)),
  });
  for (const { island, fragment, fromMs, holdsMs } of standing)
    if (fromMs <= step.nowMs) countDue(step, island, fragment, holdsMs);
}

export function contributed(step: Step, event: Event & { readonly kind: 'contributed' }): void {
  const fragment = step.state.fragments[event.fragment];
  if (fragment === undefined || !isAwaited(step.settings, step.state, event)) return;
  const stage = fragment.stage as Pulling;
  const { island, round, steps: claimedSteps, tokens: claimedTokens, length } = event;
  const { paces } = step.islandOf(island);
  const pace = paces[event.fragment]!;
  const claim = { claimedSteps, claimedTokens };
  const { steps, tokens } = boundedClaim(step.settings, fragment, pace, claim, step.nowMs);
  // One that was not due shows its pace by what it hands in.
  const { stepsPerMs } =
    step.islandOf(island).due[event.fragment] === null ? measured(pace, steps, stage.sinceMs) : pace;
  step.fragment(event.fragment, {
    stage: {
      ...stage,
      arrived: withEntry(stage.arrived, island, { round, steps, tokens, length }),
      open: stage.open - 1,
    },
  });
  const before = step.islandOf(island).answerMs ?? 0;
  const answerMs = step.nowMs - stage.sinceMs;
  // Up at once, down slowly: a deadline should rather be late than early.
  step.island(island, {
    missed: 0,
    paces: paces.with(event.fragment, { ...pace, stepsPerMs, workSinceMs: stage.sinceMs }),
    answerMs: Math.max(answerMs, 0.75 * before + 0.25 * answerMs),
  });
}

/**
 * A contribution that is not merged, and no offence. Its round is over: the island connects anew, and goes on from the fragment as it is now. Nobody waits
 * for it, and its length has its vote.
 */
export function leftOut(step: Step, event: Event & { readonly kind: 'left-out' }): void {
  const { island, fragment: index, round, steps, length, reason } = event;
  const fragment = step.state.fragments[index];
  const { merged } = step.islandOf(island);
  if (fragment?.stage.kind !== 'pulling' || !has(fragment.stage.asked, island) || round <= merged[index]!) return;
  const { stage, lengths } = fragment;
  step.fragment(index, {
    lengths: length === undefined ? lengths : withVotes(lengths, [{ island, length, steps }]),
    stage: {
      ...stage,
      asked: withoutEntry(stage.asked, island),
      open: stage.open - (canHandIn(step.islandOf(island)) && !has(stage.arrived, island) ? 1 : 0),
    },
  });
  step.island(island, { merged: merged.with(index, round) });
  step.record({ kind: 'left-out', island, fragment: index, reason });
  const what = `HELIO-4007: a contribution to fragment ${index} was left out: ${reason}.`;
  step.send(island, { kind: 'standing', ...standing('joining', 'contribution-left-out', what) });
  leave(step, island, 'connects anew, as a contribution was left out', 'contribution-left-out');
  step.effect({ kind: 'disconnect', island });
}

/**
 * Takes every fragment as far as it goes. One merge an event at most, so that each is committed with the event that decided it; the next event, a tick
 * at the latest, decides the next.
 *
 * @returns whether there was one
 */
export function advanceFragments(step: Step): boolean {
  const { merges, fragments } = step.state;
  countEarly(step);
  for (const index of fragments.keys()) {
    advanceFragment(step, index);
    if (step.state.merges > merges) return true;
  }
  return false;
}

/** open → (quorum is due) grace → (everybody is due, or the window closed) pulling → merged, and open again. */
function advanceFragment(step: Step, index: number): void {
  const { stage, runStep } = step.state.fragments[index]!;
  if (runStep >= step.settings.steps || step.state.checkpoint?.thenStop === true) return;
  const { quorum, graceS, pull: who } = step.settings.outer;
  const { due: dueNow, lacking } = step.state.islands.tallies[index]!;
  const due = dueNow.size;
  const allDue = due > 0 && lacking === 0;
  const enough = due > 0 && (quorum === 'all' || due >= quorumNow(step.state, quorum));
  switch (stage.kind) {
    case 'open':
      if (who === 'due') {
        if (allDue || (enough && quorum !== 'all')) return pull(step, index, dueFor(step, index));
        return waitForOthers(step, index, stage);
      }
      if (!enough) return waitForOthers(step, index, stage);
      if (allDue) return pull(step, index, islandsWithWork(step, index));
      return step.fragment(index, {
        stage: {
          kind: 'grace',
          sinceMs: step.nowMs,
          untilMs: step.nowMs + graceS * 1000,
          holdsMs: dueFor(step, index).reduce((first, island) => Math.min(first, island.due[index]!), NEVER_MS),
        },
      });
    case 'grace':
      if (allDue || step.nowMs >= closesMs(step.settings, stage)) pull(step, index, islandsWithWork(step, index));
      return;
    case 'pulling': {
      if ((stage.open > 0 && step.nowMs < stage.untilMs) || !step.mayMerge) return;
      for (const name of unanswered(step, stage)) step.island(name, { missed: step.islandOf(name).missed + 1 });
      const progress = (who === 'due' ? partOfRound : wholeRound)(step, index, stage);
      return merge(step, index, stage, progress);
    }
  }
}

/** The quorum counts connected islands; one that is overdue does not block the others. */
function quorumNow({ islands }: RunState, quorum: number): number {
  const there = islands.training.size;
  return there < quorum ? quorum : Math.max(1, Math.min(quorum, there - islands.overdue));
}

/**
 * Somebody is due, and too few others are. They are waited for while they may just be slow; after that, who is not due counts as overdue until it is:
 * one that is there and never says that it is due stops nobody.
 */
function waitForOthers(step: Step, index: number, stage: FragmentState['stage'] & { readonly kind: 'open' }): void {
  const { tallies, training: there } = step.state.islands;
  const { leaseMs, outer } = step.settings;
  // Without enough connected islands for a quorum, the wait has no limit.
  const isThere = outer.quorum === 'all' || there.size >= outer.quorum;
  if (tallies[index]!.due.size === 0 || !isThere) {
    if (stage.untilMs !== undefined) step.fragment(index, { stage: { kind: 'open' } });
    return;
  }
  if (stage.untilMs === undefined) {
    const tookMs = dueFor(step, index).reduce((most, { paces }) => {
      const { receivedMs } = paces[index]!;
      return receivedMs === null ? most : Math.max(most, step.nowMs - receivedMs);
    }, 0);
    const waitMs = Math.max(leaseMs, 1000 * outer.graceS, SLOWER * tookMs);
    return step.fragment(index, { stage: { ...stage, untilMs: step.nowMs + waitMs } });
  }
  if (step.nowMs < stage.untilMs) return;
  for (const { name, due } of training(step.state)) if (due[index] === null) step.island(name, { overdue: true });
  step.fragment(index, { stage: { kind: 'open' } });
  advanceFragment(step, index);
}

/** How many times as long as the first due island another may take, on a slow machine. */
const SLOWER = 8;

/**
 * When a grace window closes: with overlap already before the first island would hold (Decoupled DiLoCo, arXiv 2604.21428: the grace is
 * no longer than the overlap that is left). With an exact overlap whoever is ahead holds, so that all are merged as of the same step.
 */
const closesMs = (
  { outer }: RunSettings,
  { untilMs, holdsMs }: FragmentState['stage'] & { readonly kind: 'grace' },
): number => (outer.overlapSteps === 0 || outer.exactOverlap ? untilMs : Math.min(untilMs, holdsMs));

/** When time alone decides something next, if it does: a grace window or the wait for contributions ends. Whoever drives the machine ticks then. */
export function deadlineMs(settings: RunSettings, { fragments, early, earlyFromMs }: RunState): number | undefined {
  let first = early.size === 0 ? NEVER_MS : earlyFromMs;
  for (const { stage } of fragments) {
    if (stage.kind === 'open') first = Math.min(first, stage.untilMs ?? NEVER_MS);
    if (stage.kind === 'grace') first = Math.min(first, closesMs(settings, stage));
    if (stage.kind === 'pulling') first = Math.min(first, stage.untilMs);
  }
  return first === NEVER_MS ? undefined : first;
}

/** Those that train, and those that are away and have something to hand in. */
const islandsWithWork = (step: Step, index: number): readonly Island[] => [
  ...training(step.state),
  ...dueFor(step, index).filter(({ status }) => status === 'away'),
];

/** Those that are due: for what is done once a merge of them. */
const dueFor = (step: Step, index: number): readonly Island[] =>
  keysOf(step.state.islands.tallies[index]!.due).map((name) => step.islandOf(name));

/** Of those that were asked, who could answer and has not. */
const unanswered = (step: Step, { asked, arrived, open }: Pulling): readonly string[] =>
  open === 0 ? [] : keysOf(asked).filter((name) => !has(arrived, name) && canHandIn(step.islandOf(name)));

function pull(step: Step, index: number, islands: readonly Island[]): void {
  const { version } = step.state.fragments[index]!;
  step.fragment(index, {
    stage: {
      kind: 'pulling',
      sinceMs: step.nowMs,
      untilMs: step.nowMs + patienceMs(step, islands),
      asked: mapFrom(islands.map(({ name }) => [name, true])),
      arrived: emptyMap,
      open: islands.length,
    },
  });
  for (const { name } of islands) step.send(name, { kind: 'pull', fragment: index, version });
}

/**
 * How long a merge waits for those who were asked: several times as long as the slowest of them usually takes, and no longer than the lease. One that did not
 * answer the last time may, but is not waited for longer than the others.
 */
function patienceMs({ settings }: Step, islands: readonly Island[]): number {
  const answering = islands.filter(({ missed }) => missed === 0);
  const slowestMs = (answering.length > 0 ? answering : islands).reduce(
    (slowest, { answerMs }) => Math.max(slowest, answerMs ?? Number.POSITIVE_INFINITY),
    0,
  );
  return Math.min(settings.leaseMs, Math.max(MIN_PATIENCE_MS, 4 * slowestMs));
}

const MIN_PATIENCE_MS = 1_000;

const voteOf = (island: Island, index: number, length: number, steps: number): LengthVote => ({
  island: island.name,
  length,
  steps,
  stepsPerMs: island.paces[index]!.stepsPerMs,
  claimedTokensPerS: claimedSpeedOf(island),
});

/** What a merge does to the run: as it was just decided, or as its record says. */
export interface MergeDecision {
  readonly fragment: number;
  readonly contributions: readonly Merged[];
  readonly runStep: number;
  readonly progress: number;
  readonly nextStep: number;
}

function merge(step: Step, index: number, stage: Pulling, progress: number): void {
  const { weighting } = step.settings.outer;
  const contributions = entriesOf(stage.arrived)
    // In the order of names.
    .map(([island, arrived]) => ({ island, ...arrived, weight: weightOf(weighting, arrived.tokens, arrived.steps) }));
  if (!contributions.some(({ weight }) => weight > 0)) return step.fragment(index, { stage: { kind: 'open' } });
  // A sum of thirds is a whole number again.
  const runStep = Math.floor(progress + 1e-6);
  const nextStep = nextDue(step.settings, index, runStep);
  applyMerge(step, { fragment: index, contributions, runStep, progress, nextStep }, keysOf(stage.asked));
}

/** @param asked islands that were asked for a contribution */
export function applyMerge(step: Step, decision: MergeDecision, asked: readonly string[]): void {
  const { fragment: index, contributions, runStep, progress, nextStep } = decision;
  const { outer } = step.settings;
  const version = step.state.fragments[index]!.version + 1;
  const lengths = withVotes(
    step.state.fragments[index]!.lengths,
    contributions.flatMap(({ island, length, steps }) =>
      length === undefined || steps === 0 ? [] : [voteOf(step.islandOf(island), index, length, steps)],
    ),
  );
  const present = lengths.filter(({ island }) => step.islandOf(island).status === 'training');
  step.fragment(index, {
    version,
    runStep,
    progress,
    nextStep,
    lengths,
    pace: usualPace(lengths),
    fastest: fastestSpeed(present),
    stage: { kind: 'open' },
  });
  const contributors = new Set(contributions.map(({ island }) => island));
  const there = (
    outer.pull === 'due'
      ? asked.filter((name) => contributors.has(name))
      : allIslands(step.state.islands).map(({ name }) => name)
  ).filter((name) => isConnected(step.islandOf(name)));
  for (const name of there) {
    const island = step.islandOf(name);
    const news = { sent: island.sent.with(index, version), shown: island.shown.with(index, version) };
    if (island.status !== 'training') {
      // One that is away has handed in, or has let it pass.
      step.island(name, { ...news, due: island.due.with(index, null) });
      continue;
    }
    step.island(name, {
      ...news,
      expected: island.expected.with(index, true),
      due: island.due.with(index, null),
      paces: island.paces.with(index, { ...island.paces[index]!, receivedMs: step.nowMs }),
    });
  }
  // Also of those who are gone: they may come back with it.
  for (const { island, round } of contributions)
    step.island(island, { merged: step.islandOf(island).merged.with(index, round) });
  const tokens = contributions.reduce((sum, contribution) => sum + contribution.tokens, 0);
  step.update({
    merges: step.state.merges + 1,
    mergedTokens: step.state.mergedTokens + tokens / outer.fragments,
    mergedAtMs: step.trainedMs,
  });
  const weights = contributions.filter(({ weight }) => weight > 0).map(({ island, weight }) => ({ island, weight }));
  step.effect({ kind: 'merge', fragment: index, version, weights, contributions, receivers: there });
  const missing = asked.filter((name) => !contributors.has(name));
  step.record({ kind: 'merge', fragment: index, version, runStep, contributions, missing });
}
