import { seededRandom } from '../tensor/random.ts';
import { permutation } from './permutation.ts';
import { idOf, isSilent, type TokenStream } from './token-stream.ts';

/** What a model is shown at once, and what it should have said. */
export interface Batch {
  /** Token ids [batch, context], or features [batch, …]. */
  readonly input: BigInt64Array | Float32Array;
  readonly shape: readonly number[];
  /** The following token of each, classes [batch], or numbers to predict [batch, n]. */
  readonly targets: BigInt64Array | Float32Array;
  readonly targetShape: readonly number[];
  /** One for each row of output: 0 where a target does not count (padding, a prompt). */
  readonly weights: Float32Array;
  /** Σ weights. */
  readonly count: number;
}

/** Batches that may be made when they are asked for, so that no more than one is in memory. Arrays are such, too. */
export interface BatchList extends Iterable<Batch> {
  readonly length: number;
  at(index: number): Batch | undefined;
}

export const batchList = (length: number, make: (index: number) => Batch): BatchList => ({
  length,
  at: (index) => (index < length ? make(index) : undefined),
  *[Symbol.iterator]() {
    for (let index = 0; index < length; index++) yield make(index);
  },
});

/** Batch number `step` (from 0): a pure function, so that a run resumes from its step count alone. */
export type BatchSource = (step: number) => Batch;

/**
 * Where windows of a token stream begin, in epochs: each epoch starts at another offset, cuts the stream into windows
 * that do not overlap and visits them in a new random order.
 *
 * @param length tokens of the stream, at least `context + 1`
 * @returns the place of window number `index` (from 0)
 */
export function windowStarts(length: number, context: number, seed: number): (index: number) => number {
  const windowsPerEpoch = Math.max(1, Math.floor((length - context) / context));
  const slack = length - windowsPerEpoch * context;
  const epochAt = epochs(windowsPerEpoch, seed, (epoch) => seededRandom(seed, epoch).integer(Math.min(context, slack)));
  return (index) => {
    const { offset, order } = epochAt(Math.floor(index / windowsPerEpoch));
    return offset + order(index % windowsPerEpoch) * context;
  };
}

/** Draws windows of a token stream, see {@link windowStarts}. */
export function batchesOf(stream: TokenStream, batch: number, context: number, seed: number): BatchSource {
  const start = windowStarts(stream.length, context, seed);
  return (step) => {
    const windows = Array.from({ length: batch }, (_, row) => stream.read(start(step * batch + row), context + 1));
    return tokenBatch(windows, batch, context);
  };
}

/**
 * Draws whole documents, one a row, cut or padded to the context: padding does not count.
 *
 * @param documents where each document begins in the stream; the last one ends with it
 */
export function documentBatchesOf(
  stream: TokenStream,
  documents: Float64Array,
  batch: number,
  context: number,
  seed: number,
): BatchSource {
  const epochAt = epochs(documents.length, seed, () => 0);
  const read = (index: number): Uint32Array => {
    const place = epochAt(Math.floor(index / documents.length)).order(index % documents.length);
    return documentAt(stream, documents, place, context);
  };
  return (step) =>
    tokenBatch(
      Array.from({ length: batch }, (_, row) => read(step * batch + row)),
      batch,
      context,
    );
}

/** Offset and order of an epoch, the newest one kept. */
function epochs(count: number, seed: number, offsetOf: (epoch: number) => number) {
  let cached = { epoch: -1, offset: 0, order: (index: number): number => index };
  return (epoch: number) => {
    if (cached.epoch !== epoch) cached = { epoch, offset: offsetOf(epoch), order: permutation(count, seed, epoch) };
    return cached;
  };
}

const documentAt = (stream: TokenStream, documents: Float64Array, place: number, context: number): Uint32Array => {
  const begin = documents[place]!;
  const end = documents[place + 1] ?? stream.length;
  return stream.read(begin, Math.min(context + 1, end - begin));
};

/** Windows of a stream in order, `batch` at a time; rows that fill up the last batch do not count. */
export function evaluationBatches(stream: TokenStream, batch: number, context: number, maxTokens: number): BatchList {
  const all = Math.floor((stream.length - 1) / context);
  const windows = Math.max(1, Math.min(all, Math.floor(maxTokens / context)));
  // Spread over the whole held-out text when it is longer than what is evaluated.
  const start = (i: number): number => Math.floor((i * all) / windows) * context;
  return inBatches(windows, batch, context, (i) => stream.read(start(i), context + 1));
}

/** As {@link evaluationBatches} for whole documents, spread over all of them. */
export function documentEvaluationBatches(
  stream: TokenStream,
  documents: Float64Array,
  batch: number,
  context: number,
  maxTokens: number,
): BatchList {
  const count = Math.max(1, Math.min(documents.length, Math.floor(maxTokens / context)));
  const place = (i: number): number => Math.floor((i * documents.length) / count);
  return inBatches(count, batch, context, (i) => documentAt(stream, documents, place(i), context));
}

const inBatches = (count: number, batch: number, context: number, read: (row: number) => Uint32Array): BatchList =>
  batchList(Math.ceil(count / batch), (index) => {
    const rows = Array.from({ length: Math.min(batch, count - index * batch) }, (_, i) => read(index * batch + i));
    return tokenBatch(rows, batch, context);
  });

/** Each row's tokens but the last, and as targets each but the first. Missing rows and places do not count. */
function tokenBatch(rows: readonly Uint32Array[], batch: number, context: number): Batch {
  const input = new BigInt64Array(batch * context);
  const targets = new BigInt64Array(batch * context);
  const weights = new Float32Array(batch * context);
  let count = 0;
  rows.forEach((row, number) => {
    for (let i = 0; i + 1 < row.length; i++) {
      const place = number * context + i;
      input[place] = BigInt(idOf(row[i]!));
      targets[place] = BigInt(idOf(row[i + 1]!));
      if (isSilent(row[i + 1]!)) continue;
      weights[place] = 1;
      count++;
    }
  });
  return { input, shape: [batch, context], targets, targetShape: [batch * context], weights, count };
}
