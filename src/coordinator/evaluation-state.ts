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
  /** Nothing changes by itself before this time; 0 after an event. */
  readonly nextLookMs: number;
}

export interface EvaluationPart {
  /** How many islands are to measure this part. */
  readonly wanted: number;
  /** Who is waited for. */
  readonly asked: readonly EvaluationRequest[];
  readonly answers: readonly PartAnswer[];
  /** Islands that are not waited for and not asked again: they missed the deadline, or gave an impossible answer. */
  readonly passed: readonly string[];
}

export interface EvaluationRequest {
  readonly island: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Its position among the parts that were asked for at once, for its deadline. */
  readonly nth: number;
}

export interface PartAnswer {
  readonly island: string;
  readonly lossSum: number;
  readonly tokens: number;
  /** Examples that were right; null where that is not counted. */
  readonly correct: number | null;
}
