import { castTo } from './autocast.ts';
import { after, head, sumAll } from './functions.ts';
import type { Builder, Value } from './ir.ts';
import { blocksOf, misfit, wholeNumbers } from './shape.ts';

/** Numbers in the logits of one block of rows: 128 MiB, of which the loss and its gradient have about three copies. */
const LOGITS_AT_ONCE = 2 ** 25;
/** Rows of a block are a multiple of these, which divides the work among kernels as it does without blocks. */
const ROWS = 128;

/** How many rows of so many classes are worked on together. */
export const rowsAtOnce = (classes: number): number =>
  Math.max(ROWS, Math.floor(LOGITS_AT_ONCE / classes / ROWS) * ROWS);

/**
 * Summed cross-entropy in nats, Σ wᵢ (lse(zᵢ) − z_{i,tᵢ}), with the largest logit taken out of the exponent.
 *
 * @param logits [rows, classes] @param targets int64 [rows], each a class @param weights [rows, 1]; 0 leaves a row out
 * @param smoothing ε of label smoothing (Szegedy et al., arXiv 1512.00567, section 7): so much of each target is
 * spread evenly over all classes
 */
export function crossEntropySum(g: Builder, logits: Value, targets: Value, weights: Value, smoothing = 0): Value {
  const part = crossEntropy(g, logits, targets, weights, smoothing);
  return g.withGradient(part.sum, [logits], (dSum) => [
    gradientOf(g, part, g.one('Mul', [weights, dSum]), smoothing).dLogits,
  ]);
}

export interface BlockOptions {
  /** Rows that are worked on together. */
  readonly block: number;
  readonly smoothing?: number;
  readonly dSum?: Value | undefined;
  readonly trained?: boolean;
}

/**
 * {@link crossEntropySum} of the logits x · Wᵀ, which are never there whole: of each block of rows the loss and its gradients
 * come before the next block's logits. So the gradients are computed while the loss is, and not in the backward pass.
 *
 * @param x [rows, width] @param weight [classes, width]
 * @param options.dSum the gradient that this loss will be given, where it will be differentiated
 * @param options.trained whether W's gradient is wanted
 */
export function headCrossEntropySum(
  g: Builder,
  [x, weight]: readonly [Value, Value],
  targets: Value,
  weights: Value,
  { block, smoothing = 0, dSum, trained = true }: BlockOptions,
): Value {
  const sizes = blocksOf(x.shape[0]!, block);
  const [xs, ts, ws] = [x, targets, weights].map((all) => g.many('Split', [all], { axis: 0, sizes }));
  let sum: Value | undefined;
  let dWeight: Value | undefined;
  const dxs: Value[] = [];
  for (const [i, rows] of xs!.entries()) {
    const logits = head(g, after(g, rows, sum === undefined ? [] : [sum]), weight);
    const part = crossEntropy(g, logits, ts![i]!, ws![i]!, smoothing);
    let own = part.sum;
    if (dSum !== undefined) {
      // Once the sum is there, the logits' memory is free for what follows.
      const dScaled = after(g, g.one('Mul', [ws![i]!, dSum]), [own]);
      const { spread, dLogits } = gradientOf(g, part, dScaled, smoothing);
      if (trained) dWeight = addProduct(g, dWeight, dLogits, rows);
      const dx = after(g, g.one('Gemm', [dLogits, weight]), dWeight === undefined ? [] : [dWeight]);
      dxs.push(dx);
      own = holding(g, own, spread, part.targets, dx);
    }
    sum = sum === undefined ? own : g.one('Add', [sum, own]);
  }
  return g.withGradient(sum!, [x, weight], (given) => {
    if (given !== dSum) throw misfit('headCrossEntropySum', 'it is given another gradient than it was built for');
    return [g.one('Concat', dxs, { axis: 0 }), dWeight];
  });
}

/** sum + aᵀ · b; a product in half precision is added in float32. */
function addProduct(g: Builder, sum: Value | undefined, a: Value, b: Value): Value {
  const inHalf = g.one('Gemm', [a, b], { transA: 1 });
  if (sum === undefined) return castTo(g, inHalf, 'float32');
  if (inHalf.dtype !== 'float32') return g.one('Add', [sum, castTo(g, inHalf, 'float32')]);
  return g.one('Gemm', [a, b, sum], { transA: 1 });
}

interface CrossEntropy {
  readonly sum: Value;
  /** softmax(logits) */
  readonly p: Value;
  /** int64 [rows, 1] */
  readonly targets: Value;
}

function crossEntropy(g: Builder, logits: Value, targets: Value, weights: Value, smoothing: number): CrossEntropy {
  const [rows, classes] = logits.shape as readonly [number, number];
  const z = castTo(g, logits, 'float32');
  const column = g.one('Reshape', [targets], { shape: [rows, 1] });
  const p = g.one('Softmax', [z]);
  const highest = (x: Value): Value => g.one('ReduceMax', [x], { axes: [1], keepDims: 1 });
  // The largest probability is 1 / Σ exp(z − max z): its logarithm completes the log-sum-exp, and never underflows.
  const logSumExp = g.one('Sub', [highest(z), g.one('Log', [highest(p)])]);
  const atTarget = g.one('GatherElements', [z, column]);
  const sumOfRow = g.one('ReduceSum', [z], { axes: [1], keepDims: 1 });
  const wanted =
    smoothing === 0
      ? atTarget
      : g.one('Add', [
          g.one('Mul', [atTarget, g.scalar(1 - smoothing)]),
          g.one('Mul', [sumOfRow, g.scalar(smoothing / classes)]),
        ]);
  const sum = sumAll(g, g.one('Mul', [g.one('Sub', [logSumExp, wanted]), weights]));
  return { sum, p, targets: column };
}

/** w (softmax(z) − target distribution), before the targets' own shares are taken off and after. No one-hot matrix is ever made. */
function gradientOf(g: Builder, { p, targets }: CrossEntropy, weight: Value, smoothing: number) {
  const [rows, classes] = p.shape as readonly [number, number];
  const even = g.one('Mul', [p, weight]);
  const spread = smoothing === 0 ? even : g.one('Sub', [even, g.one('Mul', [weight, g.scalar(smoothing / classes)])]);
  const share = g.one('Reshape', [g.one('Mul', [weight, g.scalar(smoothing - 1)])], { shape: [rows] });
  const rowNumbers = g.shared(`rows ${rows}`, () => g.constant(wholeNumbers(rows), [rows, 1]));
  const places = g.one('Concat', [rowNumbers, targets], { axis: 1 });
  return { spread, dLogits: g.one('AddElements', [spread, places, share]) };
}

/**
 * `sum`, which reads `large` once more when `last` is there, to no effect. What a block leaves behind, its gradients, would else
 * be put into the large one's memory, where the next block's logits then find no place.
 */
function holding(g: Builder, sum: Value, large: Value, targets: Value, last: Value): Value {
  // Float32 holds the number of a class exactly, up to 2²⁴ classes.
  const late = castTo(g, after(g, castTo(g, targets, 'float32'), [last]), 'int64');
  const read = sumAll(g, g.one('GatherElements', [large, late]));
  return g.one('Add', [sum, g.one('Mul', [read, g.scalar(0)])]);
}
