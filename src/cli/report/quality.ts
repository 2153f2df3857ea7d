import { percent } from '../live/format.ts';
import type { Summary } from '../records.ts';

/** How good a model is, in the words of its kind: perplexity for text, accuracy for classes, neither for numbers. */
export interface Quality {
  readonly lossUnit: string;
  /** What the model is shown one of at a time. */
  readonly unit: 'tokens' | 'examples';
  readonly second: { readonly name: string; readonly before: string; readonly after: string } | null;
}

export function qualityOf(s: Pick<Summary, 'perplexity' | 'accuracy'>): Quality {
  const shown = (value: number | null, format: (x: number) => string): string => (value === null ? '–' : format(value));
  if (s.perplexity !== null) {
    const { before, after } = s.perplexity;
    const second = {
      name: 'perplexity',
      before: shown(before, (x) => x.toFixed(1)),
      after: shown(after, (x) => x.toFixed(2)),
    };
    return { lossUnit: 'nats a token', unit: 'tokens', second };
  }
  if (s.accuracy !== null) {
    const second = {
      name: 'right',
      before: shown(s.accuracy.before, percent),
      after: shown(s.accuracy.after, percent),
    };
    return { lossUnit: 'nats an example', unit: 'examples', second };
  }
  return { lossUnit: 'mean squared error / variance of the target', unit: 'examples', second: null };
}

/** More than what one validation differs from the next by. */
const RISEN = 1.01;

/** A sentence for a run that has been trained for too long; null where it was not. */
export function risenSince({
  lowestLoss,
  validationLoss,
}: Pick<Summary, 'lowestLoss' | 'validationLoss'>): string | null {
  const { after } = validationLoss;
  if (lowestLoss == null || after === null || after <= RISEN * lowestLoss.loss) return null;
  return `it was lowest at step ${lowestLoss.step}, ${lowestLoss.loss.toFixed(4)}, and has risen since: lower rates, fewer steps or more data may help`;
}
