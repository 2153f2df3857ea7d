import type { OuterSettings } from '../outer/settings.ts';
import { mostProgress } from './claims.ts';
import type { Event } from './events.ts';
import { entryOf, has, valuesOf } from './persistent-map.ts';
import { canHandIn, islandOf, trainingNames } from './roster.ts';
import type { FragmentState, Island, RunSettings, RunState } from './state.ts';
import type { Step } from './step.ts';

/** When fragments are due, for the run and for each island, and whether an island's message about a version still counts. */

/** All training islands. Costs time in their number: for use once a merge, not with every event. */
export const training = ({ islands }: Pick<RunState, 'islands'>): readonly Island[] =>
  trainingNames(islands).map((name) => islandOf(islands, name)!);

export const countTraining = ({ islands }: Pick<RunState, 'islands'>): number => islands.training.size;

export type Pulling = FragmentState['stage'] & { readonly kind: 'pulling' };

/** The step of a round at which a fragment is due. */
export const dueStepOf = (
  { innerSteps, fragments }: Pick<OuterSettings, 'innerSteps' | 'fragments'>,
  fragment: number,
): number => Math.max(1, Math.round(((fragment + 1) * innerSteps) / fragments));

/** When a fragment is first due after the run's step `from`: spread evenly over H steps. */
export function firstDue({ outer, steps }: RunSettings, fragment: number, from: number): number {
  return Math.min(steps, from + dueStepOf(outer, fragment));
}

/** When a fragment is due next, after a merge at the run's step `runStep`. */
export function nextDue(settings: RunSettings, fragment: number, runStep: number): number {
  const { startSteps, innerSteps } = settings.outer;
  if (runStep < startSteps) return Math.min(settings.steps, runStep + 1);
  if (startSteps > 0 && runStep === startSteps) return firstDue(settings, fragment, runStep);
  return Math.min(settings.steps, runStep + innerSteps);
}

/** Whether a message about this version of a fragment still counts. */
export const isAdmitted = ({ outer }: RunSettings, { version }: FragmentState, base: number): boolean =>
  base <= version && version - base <= outer.maxStaleness;

/** Whether a contribution is one that was asked for, of a round of work that was not merged before. */
export function isAwaited(
  settings: RunSettings,
  state: RunState,
  {
    island,
    fragment,
    version,
    round,
  }: Pick<Event & { readonly kind: 'contributed' }, 'island' | 'fragment' | 'version' | 'round'>,
): boolean {
  const known = state.fragments[fragment];
  if (known?.stage.kind !== 'pulling' || !has(known.stage.asked, island)) return false;
  // One a pull: a repeated one would only fill the buffer.
  if (has(known.stage.arrived, island)) return false;
  const from = islandOf(state.islands, island)!;
  // A contribution that was too late for a merge which the island was sent is part of its next round.
  if (settings.outer.carryOver && version < from.sent[fragment]!) return false;
  return canHandIn(from) && round > from.merged[fragment]! && isAdmitted(settings, known, version);
}

/** The newest round of an island's work on a fragment that the coordinator has. Its next one has a higher number. */
export function newestRound({ fragments, islands }: RunState, fragment: number, island: string): number {
  const { stage } = fragments[fragment]!;
  const arrived = stage.kind === 'pulling' ? (entryOf(stage.arrived, island)?.round ?? 0) : 0;
  return Math.max(arrived, islandOf(islands, island)!.merged[fragment]!);
}

/**
 * Inner steps until an island that receives a fragment now is to report it due: to the fragment's next merge, and with
 * `stepsBySpeed` as much less as it is slower than the fastest (dynamic local updates, arXiv 2401.09135, section 5). 0 when the run
 * needs no more of it.
 */
export function stepsUntilDue(settings: RunSettings, state: RunState, fragment: number, island: string): number {
  const { nextStep, runStep, fastest } = state.fragments[fragment]!;
  const steps = nextStep - runStep;
  if (!settings.outer.stepsBySpeed || steps === 0 || fastest === null) return steps;
  const own = claimedSpeedOf(islandOf(state.islands, island)!);
  return own === 0 ? steps : Math.max(1, Math.min(steps, Math.round((steps * own) / fastest)));
}

/** No computer is so fast. The bound keeps claimed numbers finite, for sums and for JSON. */
const MOST_SPEED = 1e12;

/** Tokens a second of computing since it connected, as it says; 0 when it has not said. */
export const claimedSpeedOf = ({ progress }: Island): number =>
  progress === null || progress.computeS === 0 ? 0 : Math.min(MOST_SPEED, progress.tokens / progress.computeS);

/** The run's step after a merge of some islands: on average over those that train. */
export function partOfRound(step: Step, index: number, { arrived }: Pulling): number {
  const steps = valuesOf(arrived).reduce((sum, contribution) => sum + contribution.steps, 0);
  const { progress } = step.state.fragments[index]!;
  return Math.min(step.settings.steps, progress + steps / Math.max(1, countTraining(step.state)));
}

/** The run's step after a merge of all: as planned, unless they have not trained as much. */
export function wholeRound(step: Step, index: number, { arrived }: Pulling): number {
  const { progress, nextStep, runStep } = step.state.fragments[index]!;
  const trained = mostProgress(valuesOf(arrived).map(({ steps }) => steps));
  return Math.min(Math.max(nextStep, runStep), Math.max(progress, runStep) + trained);
}

/** What an island is told of a fragment together with its parameters. */
export function placeOf(settings: RunSettings, state: RunState, fragment: number, island: string) {
  const { version } = state.fragments[fragment]!;
  return {
    fragment,
    version,
    stepsUntilDue: stepsUntilDue(settings, state, fragment, island),
    round: newestRound(state, fragment, island),
  };
}
