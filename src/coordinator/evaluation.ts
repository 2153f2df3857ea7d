import { training } from './due.ts';
import type { Evaluation, Event } from './state.ts';
import type { Step } from './step.ts';

/**
 * Validation of the merged model, done by the islands: the held-out batches are dealt out in parts. As messages
 * and fragments to an island arrive in order, all parts asked for between two merges measure the same model.
 */
export function beginEvaluation(step: Step, label: Evaluation['label']): void {
  const id = step.state.evaluations + 1;
  const runStep = Math.min(...step.state.fragments.map((f) => f.runStep));
  const parts = Array.from({ length: step.settings.evaluation.parts }, () => ({
    island: null,
    lossSum: null,
    tokens: 0,
    correct: null,
  }));
  step.update({ evaluations: id, evaluation: { id, label, merges: step.state.merges, runStep, parts } });
  assignEvaluation(step);
}

/** Deals parts that nobody has to the islands that are there. */
export function assignEvaluation(step: Step): void {
  const { evaluation } = step.state;
  const islands = training(step.state);
  if (evaluation === null || islands.length === 0) return;
  const open = evaluation.parts.flatMap((part, index) => (part.island === null ? [index] : []));
  if (open.length === 0) return;
  const owner = new Map(open.map((part, i) => [part, islands[i % islands.length]!.name]));
  const parts = evaluation.parts.map((part, index) => ({ ...part, island: owner.get(index) ?? part.island }));
  step.update({ evaluation: { ...evaluation, parts } });
  for (const { name } of islands) {
    const mine = open.filter((part) => owner.get(part) === name);
    if (mine.length > 0)
      step.send(name, { kind: 'evaluate', evaluation: evaluation.id, parts: mine, of: evaluation.parts.length });
  }
}

/** Takes back the parts of an island that is gone, so that they are dealt out again. */
export function releaseEvaluation(step: Step, island: string): void {
  const { evaluation } = step.state;
  if (evaluation === null) return;
  const parts = evaluation.parts.map((part) =>
    part.island === island && part.lossSum === null ? { ...part, island: null } : part,
  );
  step.update({ evaluation: { ...evaluation, parts } });
}

export function answerEvaluation(step: Step, event: Event & { readonly kind: 'evaluated' }): void {
  const { evaluation } = step.state;
  if (evaluation === null || evaluation.id !== event.evaluation) return;
  if (evaluation.parts[event.part]?.island !== event.island) return;
  const parts = evaluation.parts.with(event.part, {
    island: event.island,
    lossSum: event.lossSum,
    tokens: event.tokens,
    correct: event.correct ?? null,
  });
  if (parts.some((part) => part.lossSum === null)) return step.update({ evaluation: { ...evaluation, parts } });
  const tokens = parts.reduce((sum, part) => sum + part.tokens, 0);
  const loss = parts.reduce((sum, part) => sum + part.lossSum!, 0) / tokens;
  const counted = parts.every((part) => part.correct !== null);
  const accuracy = counted ? parts.reduce((sum, part) => sum + part.correct!, 0) / tokens : null;
  step.update({
    evaluation: null,
    lastLoss: loss,
    lastAccuracy: accuracy,
    firstAccuracy: step.state.firstAccuracy ?? accuracy,
    lastLossMerges: evaluation.merges,
    firstLoss: step.state.firstLoss ?? loss,
  });
  const { label, runStep } = evaluation;
  step.record({ kind: 'evaluation', label, runStep, loss, tokens, ...(accuracy === null ? {} : { accuracy }) });
}
