import { countTraining, training } from './due.ts';
import { acceptedAnswer, doubting, isPlausible, outliers, overall, wantedAtFirst } from './evaluation-answers.ts';
import type { Evaluation, EvaluationPart, EvaluationRequest } from './evaluation-state.ts';
import type { Event } from './events.ts';
import type { Island } from './state.ts';
import type { Step } from './step.ts';

/**
 * Validation of the merged model, done by the islands: the held-out batches are dealt out in parts. Whoever missed a merge is sent it first; as
 * messages and fragments to an island arrive in order, all parts asked for between two merges measure the same model.
 *
 * No island can block it: if one does not answer in time, another is asked; if nobody answers, the evaluation is skipped and the run goes on. A late
 * answer still counts. What is believed of the answers: `evaluation-answers.ts`.
 */
export function beginEvaluation(step: Step, label: Evaluation['label']): void {
  const { settings, state } = step;
  const id = state.evaluations + 1;
  const runStep = Math.min(...state.fragments.map((f) => f.runStep));
  const wanted = wantedAtFirst(settings.evaluation.parts, evaluators(step).length, settings.stop.loss !== undefined);
  const part: EvaluationPart = { wanted, asked: [], answers: [], passed: [] };
  step.update({
    evaluations: id,
    evaluation: {
      id,
      label,
      merges: state.merges,
      runStep,
      parts: Array.from({ length: settings.evaluation.parts }, () => part),
      untilMs: step.nowMs + Math.max(settings.gatherMs, LEASES * settings.leaseMs),
      nextLookMs: 0,
    },
  });
  advanceEvaluation(step);
}

/** Leases after which an evaluation that nobody has finished is given up, at the earliest. */
const LEASES = 8;
/** The deadline of an island: this many times the usual time, and at least so long. */
const WAIT_FACTOR = 4;
const LEAST_PATIENCE_MS = 2_000;

const NOBODY_CAN =
  "no island that is there reads the run's held-out data; one that joins with --data-root does, also beside --data";

const evaluators = (step: Step): readonly Island[] => training(step.state).filter(({ evaluates }) => evaluates);

/** Advances the evaluation as far as possible. Most events change nothing of it; then no island is looked at. */
export function advanceEvaluation(step: Step): void {
  const before = step.state.evaluation;
  if (before === null || step.nowMs < before.nextLookMs) return;
  if (step.nowMs >= before.untilMs) return giveUp(step, before, 'nobody did in time');
  expireRequests(step);
  // Those who can are looked for when somebody is to be asked: while all are, answers come and islands join without that.
  if (isUnderWay(step.state.evaluation!)) return lookLater(step);
  const able = evaluators(step);
  if (able.length === 0 && countTraining(step.state) > 0) return giveUp(step, before, NOBODY_CAN);
  ask(step, able);
  const { parts } = step.state.evaluation!;
  if (parts.some(isOpen)) return lookLater(step);
  const doubted = doubting(parts, able.length, tokensKnown(step));
  if (doubted.every((part, i) => part.wanted === parts[i]!.wanted)) return conclude(step);
  setParts(step, doubted);
  ask(step, able);
  if (step.state.evaluation!.parts.some(isOpen)) return lookLater(step);
  // Nobody else is there who could measure again.
  conclude(step);
}

const isOpen = ({ wanted, answers }: EvaluationPart): boolean => answers.length < wanted;
/** Whether somebody else is to be asked. */
const isLacking = ({ wanted, answers, asked }: EvaluationPart): boolean => answers.length + asked.length < wanted;

/** Whether everybody who is wanted was asked, and some have not answered. */
const isUnderWay = ({ parts }: Evaluation): boolean => parts.some(isOpen) && !parts.some(isLacking);

/** Something has happened that may take it further. */
export function wakeEvaluation(step: Step): void {
  const { evaluation } = step.state;
  if (evaluation !== null && evaluation.nextLookMs > 0) step.update({ evaluation: { ...evaluation, nextLookMs: 0 } });
}

function lookLater(step: Step): void {
  const evaluation = step.state.evaluation!;
  const deadlines = evaluation.parts.flatMap(({ asked }) => asked.map(({ untilMs }) => untilMs));
  step.update({ evaluation: { ...evaluation, nextLookMs: Math.min(evaluation.untilMs, ...deadlines) } });
}

const setParts = (step: Step, parts: readonly EvaluationPart[]): void =>
  step.update({ evaluation: { ...step.state.evaluation!, parts } });

/** Waits no more for those whose time is over. */
function expireRequests(step: Step): void {
  const late = new Set<string>();
  const parts = step.state.evaluation!.parts.map((part) => {
    const over = part.asked.filter(({ untilMs }) => untilMs <= step.nowMs).map(({ island }) => island);
    for (const island of over) late.add(island);
    return over.length === 0 ? part : withoutRequests(part, over);
  });
  if (late.size === 0) return;
  setParts(step, parts);
  for (const island of late) doubt(step, island, 'it did not answer in time');
}

const withoutRequests = (part: EvaluationPart, islands: readonly string[]): EvaluationPart => ({
  ...part,
  asked: part.asked.filter(({ island }) => !islands.includes(island)),
  passed: [...part.passed, ...islands],
});

function doubt(step: Step, island: string, reason: string): void {
  step.island(island, { lapses: step.islandOf(island).lapses + 1 });
  step.record({ kind: 'doubted', island, reason });
}

/** Assigns open parts to islands that were right so far and have the fewest parts. A part for which no island is left stays open. */
function ask(step: Step, able: readonly Island[]): void {
  const evaluation = step.state.evaluation!;
  if (!evaluation.parts.some(isLacking)) return;
  const load = new Map<string, number>(able.map(({ name }) => [name, 0]));
  for (const { island } of evaluation.parts.flatMap(({ asked }) => asked))
    load.set(island, (load.get(island) ?? 0) + 1);
  const dealt = new Map<string, number[]>();
  const parts = evaluation.parts.map((part, index) => {
    const asked = [...part.asked];
    for (let missing = part.wanted - part.answers.length - asked.length; missing > 0; missing--) {
      const known = new Set([...asked, ...part.answers].map(({ island }) => island).concat(part.passed));
      const first = part.answers.length + asked.length === 0;
      // Who measures again must not be predictable.
      const island = nextOf(able, known, load, first ? 0 : Math.floor(step.nowMs * 997 + index * 61));
      if (island === undefined) break;
      load.set(island, load.get(island)! + 1);
      const mine = [...(dealt.get(island) ?? []), index];
      dealt.set(island, mine);
      asked.push(requestOf(step, island, mine.length));
    }
    const nobody = asked.length === 0 && part.answers.length > 0 && part.answers.length < part.wanted;
    return { ...part, asked, wanted: nobody ? part.answers.length : part.wanted };
  });
  setParts(step, parts);
  for (const [island, mine] of dealt) {
    showNewest(step, island);
    step.send(island, { kind: 'evaluate', evaluation: evaluation.id, parts: mine, of: parts.length });
  }
}

/** Whoever measures has the newest of every fragment: where islands are merged one by one, most have missed something. */
function showNewest(step: Step, island: string): void {
  const versions = step.state.fragments.map(({ version }) => version);
  const { shown } = step.islandOf(island);
  const fragments = versions.flatMap((version, index) => (shown[index] === version ? [] : [index]));
  if (fragments.length === 0) return;
  step.island(island, { shown: versions });
  step.effect({ kind: 'show', island, fragments, state: step.state });
}

function nextOf(
  able: readonly Island[],
  known: ReadonlySet<string>,
  load: ReadonlyMap<string, number>,
  turn: number,
): string | undefined {
  let best: Island | undefined;
  for (let i = 0; i < able.length; i++) {
    const island = able[(i + turn) % able.length]!;
    if (known.has(island.name)) continue;
    const sooner =
      best === undefined ||
      island.lapses < best.lapses ||
      (island.lapses === best.lapses && load.get(island.name)! < load.get(best.name)!);
    if (sooner) best = island;
  }
  return best?.name;
}

function requestOf({ nowMs, settings, state }: Step, island: string, nth: number): EvaluationRequest {
  const usualMs = state.evaluateMs ?? Number.POSITIVE_INFINITY;
  const patienceMs = Math.min(settings.leaseMs, Math.max(LEAST_PATIENCE_MS, WAIT_FACTOR * nth * usualMs));
  return { island, sinceMs: nowMs, untilMs: nowMs + patienceMs, nth };
}

/** Does not wait for an island that is gone, so that others are asked; if it comes back it may be asked again. */
export function releaseEvaluation(step: Step, island: string): void {
  const { evaluation } = step.state;
  if (evaluation === null) return;
  const concerns = ({ asked }: EvaluationPart): boolean => asked.some((request) => request.island === island);
  if (!evaluation.parts.some(concerns)) return;
  setParts(
    step,
    evaluation.parts.map((part) =>
      concerns(part) ? { ...part, asked: part.asked.filter((request) => request.island !== island) } : part,
    ),
  );
  wakeEvaluation(step);
}

/** Of those that were asked for this part, once each. */
export function answerEvaluation(step: Step, event: Event & { readonly kind: 'evaluated' }): void {
  const { evaluation } = step.state;
  const part = evaluation?.parts[event.part];
  if (evaluation === null || part === undefined || evaluation.id !== event.evaluation) return;
  const { island, lossSum, tokens, correct = null } = event;
  const request = part.asked.find((asked) => asked.island === island);
  const wasAsked = request !== undefined || part.passed.includes(island);
  if (!wasAsked || part.answers.some((answer) => answer.island === island)) return;
  const asked = part.asked.filter((other) => other !== request);
  const answer = { island, lossSum, tokens, correct };
  if (isPlausible(answer)) {
    if (request !== undefined) measure(step, request);
    const changed = { ...part, asked, answers: [...part.answers, answer] };
    setParts(step, evaluation.parts.with(event.part, changed));
  } else {
    setParts(step, evaluation.parts.with(event.part, { ...part, asked, passed: [...part.passed, island] }));
    doubt(step, island, `a loss of ${lossSum} over ${tokens} cannot be`);
  }
  wakeEvaluation(step);
}

/** Up at once, down slowly, as with contributions. */
function measure(step: Step, { sinceMs, nth }: EvaluationRequest): void {
  const tookMs = (step.nowMs - sinceMs) / nth;
  const before = step.state.evaluateMs ?? 0;
  step.update({ evaluateMs: Math.max(tookMs, 0.75 * before + 0.25 * tookMs) });
}

/** What earlier evaluations found that parts hold. */
const tokensKnown = ({ state, settings }: Step): readonly number[] =>
  state.partTokens.length === settings.evaluation.parts ? state.partTokens : [];

function conclude(step: Step): void {
  const { parts, label, runStep, merges } = step.state.evaluation!;
  const { loss, tokens, accuracy } = overall(parts);
  const apart = new Set(parts.flatMap(outliers).map(({ island }) => island));
  for (const island of apart) doubt(step, island, 'others measured something else');
  step.update({
    evaluation: null,
    partTokens: parts.map((part) => acceptedAnswer(part).tokens),
    lastLoss: loss,
    lastAccuracy: accuracy,
    lastLossMerges: merges,
    ...(label === 'before' ? { firstLoss: loss, firstAccuracy: accuracy } : {}),
  });
  step.record({ kind: 'evaluation', label, runStep, loss, tokens, ...(accuracy === null ? {} : { accuracy }) });
}

function giveUp(step: Step, { label, runStep }: Evaluation, reason: string): void {
  step.update({ evaluation: null });
  step.record({ kind: 'evaluation-given-up', label, runStep, reason });
}
