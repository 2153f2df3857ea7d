import { seededRandom, shuffled } from '../tensor/random.ts';

/** `batch × context` tokens and the token that follows each of them. */
export interface Batch {
  readonly tokens: BigInt64Array;
  readonly targets: BigInt64Array;
  readonly shape: readonly [batch: number, context: number];
}

/** Batch number `step` (from 0): a pure function, so that a run resumes from its step count alone. */
export type BatchSource = (step: number) => Batch;

/**
 * Draws windows of a token stream in epochs: each epoch starts at another offset, cuts the stream into windows
 * that do not overlap and visits them in a new random order.
 *
 * @param stream token ids, at least `context + 1` of them
 */
export function batchesOf(stream: Uint32Array, batch: number, context: number, seed: number): BatchSource {
  const windowsPerEpoch = Math.max(1, Math.floor((stream.length - context) / context));
  let cached: { epoch: number; offset: number; order: Uint32Array } = {
    epoch: -1,
    offset: 0,
    order: new Uint32Array(),
  };
  const window = (index: number): number => {
    const epoch = Math.floor(index / windowsPerEpoch);
    if (cached.epoch !== epoch) {
      const random = seededRandom(seed, epoch);
      const slack = stream.length - windowsPerEpoch * context;
      cached = { epoch, offset: random.integer(Math.min(context, slack)), order: shuffled(windowsPerEpoch, random) };
    }
    return cached.offset + cached.order[index % windowsPerEpoch]! * context;
  };
  return (step) =>
    cutWindows(
      stream,
      Array.from({ length: batch }, (_, row) => window(step * batch + row)),
      context,
    );
}

/** All windows of a stream in order, `batch` at a time; the last batch repeats windows to be full. */
export function evaluationBatches(
  stream: Uint32Array,
  batch: number,
  context: number,
  maxTokens: number,
): readonly Batch[] {
  const all = Math.floor((stream.length - 1) / context);
  const windows = Math.max(1, Math.min(all, Math.floor(maxTokens / context)));
  // Spread over the whole held-out text when it is longer than what is evaluated.
  const starts = Array.from({ length: windows }, (_, i) => Math.floor((i * all) / windows) * context);
  return Array.from({ length: Math.ceil(windows / batch) }, (_, b) =>
    cutWindows(
      stream,
      Array.from({ length: batch }, (_, row) => starts[(b * batch + row) % windows]!),
      context,
    ),
  );
}

function cutWindows(stream: Uint32Array, starts: readonly number[], context: number): Batch {
  const tokens = new BigInt64Array(starts.length * context);
  const targets = new BigInt64Array(starts.length * context);
  starts.forEach((start, row) => {
    for (let i = 0; i < context; i++) {
      tokens[row * context + i] = BigInt(stream[start + i]!);
      targets[row * context + i] = BigInt(stream[start + i + 1]!);
    }
  });
  return { tokens, targets, shape: [starts.length, context] };
}
