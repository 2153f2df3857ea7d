/** A validation under way, as part of the run's state: plain JSON. What is done with it: `evaluation.ts`. */

export interface Evaluation {
  readonly id: number;
  readonly label: 'before' | 'during' | 'after';
  /** Value of `RunState.merges` when it began: parts of one evaluation are of one model. */
  readonly merges: number;
  readonly runStep: number;
  readonly parts: readonly EvaluationPart[];
  /** When it is given up. */
  readonly untilMs: number;
  /** Until then nothing changes by itself: 0 when something has happened. */
  readonly nextLookMs: number;
}

export interface EvaluationPart {
  /** Islands that it is to be heard from. */
  readonly wanted: number;
  /** Who is waited for. */
  readonly asked: readonly EvaluationRequest[];
  readonly answers: readonly PartAnswer[];
  /** Who is not waited for any more, and not asked again: it let its time pass, or said what cannot be. */
  readonly passed: readonly string[];
}

export interface EvaluationRequest {
  readonly island: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The how manyeth it is of those that were asked for at once. */
  readonly nth: number;
}

export interface PartAnswer {
  readonly island: string;
  readonly lossSum: number;
  readonly tokens: number;
  /** Examples that were right; null where that is not counted. */
  readonly correct: number | null;
}
