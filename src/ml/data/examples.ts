import { HelioError } from '../../errors.ts';
import { type Batch, type BatchList, type BatchSource, batchList } from './batches.ts';
import { permutation } from './permutation.ts';

/** Examples of a fixed size, each with a class or with numbers to predict. */
export interface ExampleSet {
  readonly count: number;
  /** Shape of one example: [features], or [channels, height, width]. */
  readonly shape: readonly number[];
  /** Row by row; of a table in double precision, so that what is scaled (a time stamp, say) has not lost its digits before. */
  readonly features: Float32Array | Float64Array;
  /** A class each, or `outputs` numbers each. */
  readonly targets: BigInt64Array | Float64Array;
  /** Classes, or numbers to predict. */
  readonly outputs: number;
}

/** How many of the first `count` documents or rows are held out, so that of any number it is the share that was asked for. */
export const heldOutOfFirst = (count: number, share: number): number => Math.floor(count * share + ROUNDING);
/** Products such as 1,000 · 0.007 may come out a little below the whole number that they are. */
const ROUNDING = 1e-6;

/** Whether row or document `index` is held out: with 0.1 the tenth, the twentieth, and so on. */
export const isHeldOut = (index: number, share: number): boolean =>
  heldOutOfFirst(index + 1, share) > heldOutOfFirst(index, share);

/** Row numbers of the training and held-out part, evenly spread. */
export function splitExamples(
  count: number,
  share: number,
): { readonly training: Uint32Array; readonly validation: Uint32Array } {
  const rows = Uint32Array.from({ length: count }, (_, i) => i);
  const held = (i: number): boolean => isHeldOut(i, share);
  return { training: rows.filter((i) => !held(i)), validation: rows.filter(held) };
}

/** Rows of one shard: `count` runs of nearly equal length. */
export const shardOfRows = (rows: Uint32Array, index: number, count: number): Uint32Array =>
  rows.subarray(Math.floor((rows.length * index) / count), Math.floor((rows.length * (index + 1)) / count));

/** Draws rows in epochs, each in a new random order. */
export function exampleBatchesOf(set: ExampleSet, rows: Uint32Array, batch: number, seed: number): BatchSource {
  let cached = { epoch: -1, order: (index: number): number => index };
  const row = (index: number): number => {
    const epoch = Math.floor(index / rows.length);
    if (cached.epoch !== epoch) cached = { epoch, order: permutation(rows.length, seed, epoch) };
    return rows[cached.order(index % rows.length)]!;
  };
  return (step) =>
    exampleBatch(
      set,
      Array.from({ length: batch }, (_, i) => row(step * batch + i)),
      batch,
    );
}

/** Rows in order, at most `most` of them spread over all; rows that fill up the last batch do not count. */
export function exampleEvaluationBatches(set: ExampleSet, rows: Uint32Array, batch: number, most: number): BatchList {
  const count = Math.max(1, Math.min(rows.length, most));
  const chosen = Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]!);
  return batchList(Math.ceil(count / batch), (b) => exampleBatch(set, chosen.slice(b * batch, (b + 1) * batch), batch));
}

function exampleBatch(set: ExampleSet, rows: readonly number[], batch: number): Batch {
  const size = sizeOf(set);
  const input = new Float32Array(batch * size);
  const numeric = set.targets instanceof Float64Array;
  const width = numeric ? set.outputs : 1;
  const targets = numeric ? new Float32Array(batch * width) : new BigInt64Array(batch);
  const weights = new Float32Array(batch);
  rows.forEach((row, i) => {
    input.set(set.features.subarray(row * size, (row + 1) * size), i * size);
    for (let j = 0; j < width; j++) targets[i * width + j] = set.targets[row * width + j]!;
    weights[i] = 1;
  });
  const targetShape = numeric ? [batch, width] : [batch];
  return { input, shape: [batch, ...set.shape], targets, targetShape, weights, count: rows.length };
}

/**
 * How numbers become numbers around zero. It is decided once for a run, from the coordinator's training rows, so that
 * every island sees the same scale.
 */
export interface Scaling {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** Mean and deviation of each of `groups` equal parts of an example, over the given rows. */
export const measureScaling = (set: ExampleSet, rows: Uint32Array, groups: number): Scaling =>
  measure(set.features, sizeOf(set), rows, groups);

/** Mean and deviation of each number to predict. */
export const measureTargets = ({ targets, outputs }: ExampleSet, rows: Uint32Array): Scaling =>
  measure(numbersOf(targets), outputs, rows, outputs);

/** Two passes: a large mean leaves the deviation its digits. */
function measure(values: Float32Array | Float64Array, size: number, rows: Uint32Array, groups: number): Scaling {
  const each = size / groups;
  const n = rows.length * each;
  const averages = (of: (x: number, group: number) => number): Float64Array => {
    const sums = new Float64Array(groups);
    for (const row of rows) {
      for (let i = 0; i < size; i++) {
        const group = Math.floor(i / each);
        sums[group]! += of(values[row * size + i]!, group);
      }
    }
    return sums.map((sum) => sum / n);
  };
  const mean = averages((x) => x);
  const variance = averages((x, group) => (x - mean[group]!) ** 2);
  // A constant says nothing: it becomes zero everywhere. What is left of it is rounding.
  const deviation = Array.from(variance, (v, i) => (v > (1e-12 * mean[i]!) ** 2 ? Math.sqrt(v) : 1));
  return { mean: [...mean], deviation };
}

/** Scales features in place. */
export const applyScaling = (set: ExampleSet, scaling: Scaling): void => scale(set.features, sizeOf(set), scaling);

/** Scales numbers to predict in place. */
export const applyTargetScaling = (set: ExampleSet, scaling: Scaling): void =>
  scale(numbersOf(set.targets), set.outputs, scaling);

function scale(values: Float32Array | Float64Array, size: number, { mean, deviation }: Scaling): void {
  const each = size / mean.length;
  for (let i = 0; i < values.length; i++) {
    const group = Math.floor((i % size) / each);
    values[i] = (values[i]! - mean[group]!) / deviation[group]!;
  }
}

const sizeOf = ({ shape }: ExampleSet): number => shape.reduce((product, d) => product * d, 1);

function numbersOf(targets: ExampleSet['targets']): Float64Array {
  if (targets instanceof Float64Array) return targets;
  throw new TypeError('classes have no scale');
}

/** @throws HelioError HELIO-1003 when there are too few examples for a batch to be drawn from */
export function checkExamples(rows: Uint32Array, what: string): void {
  if (rows.length > 0) return;
  throw new HelioError(
    'HELIO-1003',
    `${what} has no examples.`,
    'Give more data, fewer islands, or another share to hold out.',
  );
}
