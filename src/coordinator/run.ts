import { asleepAfterRestart, isAnyoneExpectedBack, islandStands } from './absence.ts';
import { beginCheckpoint, islandSaved, waitsForIslands } from './checkpoint.ts';
import { startingAt, UNKNOWN_PACE } from './claims.ts';
import { countTraining, firstDue, nextDue, training } from './due.ts';
import { islandClaimsEnergy } from './energy.ts';
import { advanceEvaluation, answerEvaluation, beginEvaluation, wakeEvaluation } from './evaluation.ts';
import type { Effect, Event } from './events.ts';
import { admit, forgetKeys, leave, offend, present, revoke } from './membership.ts';
import { advanceFragments, contributed, islandDue, leftOut } from './merging.ts';
import { emptyMap, has, keysOf } from './persistent-map.ts';
import { emptyRoster, islandOf, mapIslands, trainingNames } from './roster.ts';
import type { Phase, RunSettings, RunState } from './state.ts';
import { NEVER_MS, Step } from './step.ts';

/**
 * The coordinator's one decision function: pure, total over its events, and the only place where phases change.
 *
 * @param nowMs any clock that does not run backwards
 * @param mayMerge false: a merge that is ready waits, as where a replay knows that there was none
 */
export function react(
  settings: RunSettings,
  state: RunState,
  event: Event,
  nowMs: number,
  mayMerge = true,
): { readonly state: RunState; readonly effects: readonly Effect[] } {
  const step = new Step(settings, state, nowMs, mayMerge);
  if (event.kind === 'recovered') recover(step, event.trainedMs);
  else if (event.kind === 'keys-forgotten') forgetKeys(step);
  // Also when the run is over: the last words of those who are told to stop. It decides nothing.
  else if (event.kind === 'energy') accept(step, event);
  else if (!isOver(state.phase)) {
    accept(step, event);
    // Counters are logged later than they come, and so must not decide anything themselves. Nor does what an island says of itself, unless it goes away.
    if (event.kind !== 'progress' && !(event.kind === 'standing' && step.effects.length === 0)) advance(step);
  }
  return { state: step.state, effects: step.effects };
}

export const isOver = (phase: Phase): boolean => phase === 'finished' || phase === 'interrupted' || phase === 'failed';

/** A run that has not begun. Fragments are due one after the other, spread over the first H steps. */
export function initialState(settings: RunSettings): RunState {
  const { fragments, startSteps } = settings.outer;
  return {
    phase: 'gathering',
    aloneSinceMs: null,
    islands: emptyRoster(fragments),
    returning: [],
    fragments: Array.from({ length: fragments }, (_, p) => ({
      version: 0,
      runStep: 0,
      progress: 0,
      nextStep: startSteps > 0 ? 1 : firstDue(settings, p, 0),
      lengths: [],
      pace: null,
      fastest: null,
      stage: { kind: 'open' },
    })),
    early: emptyMap,
    earlyFromMs: NEVER_MS,
    merges: 0,
    mergedTokens: 0,
    trainedMs: 0,
    trainingSinceMs: null,
    mergedAtMs: 0,
    evaluations: 0,
    evaluation: null,
    evaluateMs: null,
    partTokens: [],
    firstLoss: null,
    lastLoss: null,
    firstAccuracy: null,
    lastAccuracy: null,
    lastLossMerges: 0,
    checkpoints: 0,
    checkpoint: null,
    checkpointMerges: 0,
    committed: null,
    banned: emptyMap,
    stopRequested: false,
    restore: null,
  };
}

/**
 * A coordinator begins again. Islands restore a checkpoint of theirs by name only where nothing was merged since: the run then goes on to the
 * same bits. A run that was finished, and not longer now, ends at once.
 */
function recover(step: Step, trainedMs: number): void {
  const { settings, state } = step;
  // A run that was still gathering, or was stopped cleanly, waits for all expected islands.
  const killed = state.phase === 'training' || state.phase === 'paused' || state.phase === 'concluding';
  step.update({
    phase: 'gathering',
    returning: killed ? trainingNames(state.islands) : isOver(state.phase) ? [] : state.returning,
    aloneSinceMs: null,
    islands: mapIslands(state.islands, (island) => ({
      ...island,
      // Whoever was away comes back when it would have.
      status: island.status === 'away' ? 'away' : 'gone',
      ...(island.status === 'away' ? { rest: asleepAfterRestart(step.nowMs), due: island.due.map(() => null) } : {}),
      // Whoever was gone before is gone for the same reason.
      left: island.status === 'gone' ? (island.left ?? 'coordinator-restarted') : 'coordinator-restarted',
      // Whose clock it was, nobody knows.
      paces: island.paces.map(({ stepsPerMs }) => ({ ...UNKNOWN_PACE, stepsPerMs })),
    })),
    early: emptyMap,
    earlyFromMs: NEVER_MS,
    fragments: state.fragments.map((fragment, index) => ({
      ...fragment,
      nextStep: fragment.nextStep > fragment.runStep ? fragment.nextStep : nextDue(settings, index, fragment.runStep),
      stage: { kind: 'open' },
    })),
    trainedMs,
    trainingSinceMs: null,
    evaluation: null,
    checkpoint: null,
    stopRequested: false,
    restore: state.committed?.merges === state.merges ? state.committed.id : null,
  });
  if (state.phase !== 'finished' || !isComplete(step)) return;
  enter(step, 'finished', 'it was finished before');
  end(step, 'finished', 'the stop rule is met');
}

/** Training time at `nowMs`, over all sessions of the run. */
export const trainedMsOf = ({ trainedMs, trainingSinceMs }: RunState, nowMs: number): number =>
  trainedMs + (trainingSinceMs === null ? 0 : nowMs - trainingSinceMs);

/** The step that the run as a whole has reached: that of its least advanced fragment. */
export const runStepOf = (state: RunState): number => Math.min(...state.fragments.map((f) => f.runStep));

function accept(step: Step, event: Exclude<Event, { readonly kind: 'recovered' | 'keys-forgotten' }>): void {
  if ('island' in event && event.kind !== 'joined') {
    const island = islandOf(step.state.islands, event.island);
    if (island === undefined || island.status === 'gone') return;
  }
  switch (event.kind) {
    case 'joined':
      return admit(step, event);
    case 'ready':
      return islandReady(step, event.island, event.restored);
    case 'progress':
      step.island(event.island, { progress: event.progress });
      return step.record({ kind: 'progress', island: event.island, progress: event.progress });
    case 'energy':
      return islandClaimsEnergy(step, event);
    case 'due':
      return islandDue(step, event);
    case 'contributed':
      return contributed(step, event);
    case 'left-out':
      return leftOut(step, event);
    case 'evaluated':
      return answerEvaluation(step, event);
    case 'saved':
      return islandSaved(step, event.island, event.checkpoint);
    case 'left':
      return leave(step, event.island, event.reason, event.because ?? 'left');
    case 'standing':
      islandStands(step, event);
      for (const work of event.due ?? []) islandDue(step, { kind: 'due', island: event.island, ...work, slackMs: 0 });
      return;
    case 'revoked':
      return revoke(step, event.invitation, event.islands);
    case 'offended':
      return offend(step, event.island, event.reason);
    case 'stop-requested':
      return step.update({ stopRequested: true });
    case 'tick':
      return;
  }
}

function islandReady(step: Step, name: string, said: string | null): void {
  const { expected, paces, status } = step.islandOf(name);
  // Said a second time it would begin anew with what is believed of it.
  if (status !== 'joining') return;
  const midway = step.state.phase === 'training' || step.state.phase === 'paused' || step.state.phase === 'concluding';
  // Only a run that goes on from a checkpoint has work in it that was done before.
  const restored = said === step.state.restore && !midway ? said : null;
  step.island(name, {
    status: 'training',
    paces: paces.map((pace, index) => {
      // What it restored it did before.
      if (restored !== null) return { ...UNKNOWN_PACE, stepsPerMs: pace.stepsPerMs };
      return midway && !expected[index] ? startingAt(pace, step.nowMs) : pace;
    }),
    expected: midway ? expected : expected.map(() => true),
    due: expected.map(() => null),
  });
  step.update({ aloneSinceMs: null });
  wakeEvaluation(step);
  const entered = expected.some(Boolean) ? 'goes on where it was' : 'joined; counts from the next merge';
  const reason = restored === null ? (midway ? entered : 'ready') : `restored ${restored}`;
  step.record({ kind: 'island', island: name, status: 'training', reason });
  if (step.state.phase !== 'training' && step.state.phase !== 'paused') return;
  step.send(name, { kind: 'start' });
  for (const [fragment, { stage, version }] of step.state.fragments.entries()) {
    const open = stage.kind === 'pulling' && has(stage.asked, name) && !has(stage.arrived, name);
    if (open) step.send(name, { kind: 'pull', fragment, version });
  }
}

/** Does whatever the state now allows, one transition after the other. */
function advance(step: Step): void {
  advanceEvaluation(step);
  switch (step.state.phase) {
    case 'gathering':
      gather(step);
      break;
    case 'measuring':
      checkQuorum(step);
      if (step.state.evaluation === null) begin(step);
      break;
    case 'training':
    case 'paused':
      checkQuorum(step);
      if (advanceFragments(step)) afterMerge(step);
      if (isComplete(step)) {
        enter(step, 'concluding', 'the last merge is done; validating the result');
        beginEvaluation(step, 'after');
      }
      break;
    case 'concluding':
      checkQuorum(step);
      if (step.state.evaluation === null) conclude(step);
      break;
    default:
      break;
  }
  if (step.state.stopRequested && !isOver(step.state.phase)) interrupt(step);
  finishCheckpoint(step);
}

function gather(step: Step): void {
  const ready = countTraining(step.state);
  const waited = step.state.aloneSinceMs === null ? 0 : step.nowMs - step.state.aloneSinceMs;
  if (step.state.aloneSinceMs === null) step.update({ aloneSinceMs: step.nowMs });
  const { expectedIslands, gatherMs, leaseMs } = step.settings;
  const { returning } = step.state;
  const { training: there } = step.state.islands;
  const back = returning.length > 0 && ready >= returning.length && returning.every((name) => has(there, name));
  const patienceMs = returning.length > 0 && ready > 0 ? leaseMs : gatherMs;
  // Who is away is not waited for.
  if (!back && ready + step.state.islands.away.size < expectedIslands && waited < patienceMs) return;
  if (ready === 0 && isAnyoneExpectedBack(step.state, step.nowMs)) return;
  if (ready === 0) return fail(step, `no island came within ${step.settings.gatherMs / 1000} s`);
  if (step.state.firstLoss !== null || step.state.merges > 0) return begin(step);
  enter(
    step,
    'measuring',
    `${ready} of ${step.settings.expectedIslands} islands are ready; validating the initial model`,
  );
  beginEvaluation(step, 'before');
}

function begin(step: Step): void {
  const islands = countTraining(step.state);
  enter(step, 'training', `${islands} ${islands === 1 ? 'island trains' : 'islands train'}`);
  step.update({ aloneSinceMs: null, trainingSinceMs: step.nowMs });
  for (const { name, paces } of training(step.state)) {
    step.island(name, {
      paces: paces.map((pace) => (pace.workSinceMs === null ? pace : startingAt(pace, step.nowMs))),
    });
    step.send(name, { kind: 'start' });
  }
}

/** What is due after so many merges of the whole model: validation and a checkpoint. */
export function afterMerge(step: Step): void {
  const { merges, evaluation } = step.state;
  if (evaluation !== null) step.update({ evaluation: null });
  if (isComplete(step)) return;
  const least = leastRounds(step);
  const every = (rounds: number): boolean => merges % (Math.max(rounds, least) * step.settings.outer.fragments) === 0;
  if (every(step.settings.evaluation.everyMerges)) beginEvaluation(step, 'during');
  if (every(step.settings.checkpointEveryMerges) && !step.state.stopRequested) beginCheckpoint(step, false);
}

/**
 * Where islands are merged one by one, a merge is of one of many: then about a quarter of those that train are merged between two validations, or they would
 * do little else. It changes seldom, so that multiples of it are met.
 */
const leastRounds = ({ settings, state }: Step): number =>
  settings.outer.pull === 'due' ? 2 ** Math.max(0, Math.ceil(Math.log2(countTraining(state) / 4))) : 1;

/** Whether a stop rule is met: by what was merged, so that no work of a round is cut off. */
function isComplete({ state, settings }: Step): boolean {
  const { tokens, loss, minutes } = settings.stop;
  return (
    state.fragments.every((fragment) => fragment.runStep >= settings.steps) ||
    (tokens !== undefined && state.mergedTokens >= tokens) ||
    (loss !== undefined && state.lastLoss !== null && state.lastLossMerges > 0 && state.lastLoss <= loss) ||
    (minutes !== undefined && state.merges > 0 && state.mergedAtMs >= minutes * 60_000)
  );
}

/** Below quorum the run pauses until the quorum is reached again. It fails when no island comes back in time. */
function checkQuorum(step: Step): void {
  const { quorum } = step.settings.outer;
  const there = countTraining(step.state);
  const hasQuorum = there >= (quorum === 'all' ? 1 : quorum);
  const { phase } = step.state;
  if (phase === 'training' && !hasQuorum)
    enter(
      step,
      'paused',
      there === 0 ? nobodyThere(step.state) : `below quorum: ${there} of ${quorum} islands are connected`,
    );
  if (phase === 'paused' && hasQuorum) enter(step, 'training', 'quorum reached again');
  if (there > 0) return;
  if (isAnyoneExpectedBack(step.state, step.nowMs)) {
    if (step.state.aloneSinceMs !== null) step.update({ aloneSinceMs: null });
    return;
  }
  if (step.state.aloneSinceMs === null) step.update({ aloneSinceMs: step.nowMs });
  else if (step.nowMs - step.state.aloneSinceMs >= step.settings.gatherMs) {
    fail(step, `no island came back within ${step.settings.gatherMs / 1000} s`);
  }
}

const nobodyThere = ({ islands }: RunState): string =>
  islands.away.size === 0
    ? 'no island is connected'
    : `no island trains; away by their owners' rules, and back by themselves: ${islands.away.size}`;

/** The end is a checkpoint too: a run may be resumed with a later stop. */
function conclude(step: Step): void {
  if (step.state.checkpoint !== null) return;
  if (step.state.checkpointMerges !== step.state.merges) return beginCheckpoint(step, false);
  const { lastLoss } = step.state;
  enter(step, 'finished', lastLoss === null ? 'nobody has validated it' : `validation loss ${lastLoss.toFixed(4)}`);
  end(step, 'finished', 'the stop rule is met');
}

/** Ctrl-C: first a checkpoint, unless a transfer is under way; then all islands stop. */
function interrupt(step: Step): void {
  const { checkpoint, fragments, phase } = step.state;
  const merging = phase === 'training' || phase === 'paused';
  if (merging && fragments.some((fragment) => fragment.stage.kind === 'pulling')) return;
  if (phase === 'gathering' || phase === 'measuring') {
    enter(step, 'interrupted', 'stopped before training began');
    return end(step, 'interrupted', 'stopped before training began');
  }
  if (checkpoint === null) beginCheckpoint(step, true);
}

function finishCheckpoint(step: Step): void {
  const { checkpoint } = step.state;
  if (checkpoint === null || isOver(step.state.phase)) return;
  if (waitsForIslands(step, checkpoint)) return;
  const { id, merges } = checkpoint;
  const missing = keysOf(checkpoint.waiting);
  step.update({ checkpoint: null, committed: { id, merges, missing } });
  step.effect({ kind: 'commit', checkpoint: id, missing });
  step.record({ kind: 'checkpoint', checkpoint: id, runStep: runStepOf(step.state), missing });
  if (checkpoint.thenStop) {
    enter(step, 'interrupted', `stopped; checkpoint ${checkpoint.id} is complete`);
    end(step, 'interrupted', `checkpoint ${checkpoint.id}`);
  } else if (step.state.stopRequested) interrupt(step);
}

function fail(step: Step, reason: string): void {
  enter(step, 'failed', reason);
  end(step, 'failed', reason);
}

function end(step: Step, status: 'finished' | 'interrupted' | 'failed', reason: string): void {
  for (const { name } of present(step.state)) step.send(name, { kind: 'stop', reason: status });
  step.effect({ kind: 'end', status, reason });
}

function enter(step: Step, phase: Phase, reason: string): void {
  step.update({ phase });
  step.record({ kind: 'phase', phase, reason });
}
