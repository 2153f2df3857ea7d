import type { EvaluationPart, PartAnswer } from './evaluation-state.ts';

/**
 * What is believed of what islands say of a part of an evaluation. A part is as much of the held-out batches as another, so losses of parts are alike, and
 * those of one part are the same whoever measures it. A part that stands out is measured again by another island, and where two differ, by a third, whose
 * middle one counts: so a liar is found by measuring a little more where something is odd, and nothing more where all is well.
 *
 * It holds while those who lie are not two of the three that measure a part; with fewer than three islands nothing is left but the bounds.
 */

/** Nats a token, or an example: no useful model has such a loss. */
const MOST_LOSS = 1_000;
/** Share by which two measurements of one part may differ: other processors and precisions. */
const ALIKE = 0.02;
/** How far a part may be from the middle one, as a factor, before it is measured again; and how far it can be when it counts. */
const ODD = 1.25;
const MOST_ODD = 2;
/** Islands from which on a part can be measured by others. */
const CROWD = 3;

export const isPlausible = ({ lossSum, tokens, correct }: PartAnswer): boolean =>
  Number.isSafeInteger(tokens) &&
  tokens > 0 &&
  lossSum >= 0 &&
  lossSum / tokens <= MOST_LOSS &&
  (correct ?? 0) <= tokens;

/** How many islands are to measure each part from the start: two where the run ends by the result, or where there are too few parts to compare. */
export const wantedAtFirst = (parts: number, islands: number, decides: boolean): number =>
  islands >= CROWD && (decides || parts < CROWD) ? 2 : 1;

/** The answer that counts: of two the one with the larger loss, of more the middle one. */
export function acceptedAnswer({ answers }: EvaluationPart): PartAnswer {
  const byLoss = answers.toSorted((a, b) => lossOf(a) - lossOf(b));
  return byLoss[Math.floor(byLoss.length / 2)]!;
}

/** Islands whose answer cannot be of the same model on the same batches, where three have measured. */
export const outliers = (part: EvaluationPart): readonly PartAnswer[] => {
  const held = acceptedAnswer(part);
  const isOut = (answer: PartAnswer): boolean =>
    answer.tokens !== held.tokens || isApart(lossOf(answer), lossOf(held), ODD);
  return part.answers.length < CROWD ? [] : part.answers.filter(isOut);
};

/** The parts, with more islands wanted where something is odd. */
export function doubting(
  parts: readonly EvaluationPart[],
  islands: number,
  knownTokens: readonly number[],
): readonly EvaluationPart[] {
  if (islands < CROWD) return parts;
  const held = parts.map(acceptedAnswer);
  const many = held.length >= CROWD;
  const [loss, tokens, right] = [
    median(held.map(lossOf)),
    median(held.map((a) => a.tokens)),
    median(held.map(rightOf)),
  ];
  return parts.map((part, index) => {
    const answer = held[index]!;
    if (part.answers.length === 2)
      return areAlike(part.answers[0]!, part.answers[1]!) ? part : { ...part, wanted: CROWD };
    if (part.answers.length > 2) return part;
    const odd =
      (knownTokens[index] !== undefined && knownTokens[index] !== answer.tokens) ||
      (many &&
        (isApart(lossOf(answer), loss, ODD) ||
          isApart(answer.tokens, tokens, MOST_ODD) ||
          Math.abs(rightOf(answer) - right) > ODD - 1));
    return odd ? { ...part, wanted: 2 } : part;
  });
}

/** The loss over all parts; of three and more none counts as more than twice or less than half the middle one. */
export function overall(parts: readonly EvaluationPart[]): {
  readonly loss: number;
  readonly tokens: number;
  readonly accuracy: number | null;
} {
  const held = parts.map(acceptedAnswer);
  const [loss, size] = [median(held.map(lossOf)), median(held.map(({ tokens }) => tokens))];
  const bounded = held.map((answer) => {
    if (held.length < CROWD) return answer;
    const tokens = Math.min(answer.tokens, MOST_ODD * size);
    const between = Math.min(Math.max(lossOf(answer), loss / MOST_ODD), MOST_ODD * loss);
    const asItIs = tokens === answer.tokens && between === lossOf(answer);
    const correct = answer.correct === null ? null : (answer.correct / answer.tokens) * tokens;
    return asItIs ? answer : { ...answer, tokens, correct, lossSum: between * tokens };
  });
  const tokens = bounded.reduce((sum, answer) => sum + answer.tokens, 0);
  const counted = bounded.every(({ correct }) => correct !== null);
  return {
    loss: bounded.reduce((sum, { lossSum }) => sum + lossSum, 0) / tokens,
    tokens,
    accuracy: counted ? bounded.reduce((sum, { correct }) => sum + correct!, 0) / tokens : null,
  };
}

const lossOf = ({ lossSum, tokens }: PartAnswer): number => lossSum / tokens;
/** Where it is not counted: less than any. */
const rightOf = ({ correct, tokens }: PartAnswer): number => (correct === null ? -1 : correct / tokens);

const isApart = (value: number, middle: number, factor: number): boolean =>
  value > factor * middle || factor * value < middle;

const areAlike = (a: PartAnswer, b: PartAnswer): boolean =>
  a.tokens === b.tokens && !isApart(lossOf(a), lossOf(b), 1 + ALIKE) && Math.abs(rightOf(a) - rightOf(b)) <= ALIKE;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
