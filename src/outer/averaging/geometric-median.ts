import { weightedMean } from './mean.ts';
import { distance } from './vectors.ts';

/** Iterations of Weiszfeld's algorithm: the paper finds that a few do. */
const ITERATIONS = 8;
/** Smallest distance that is divided by, as a share of the mean one. */
const SMOOTHING = 1e-3;

/**
 * The geometric median of Δₘ: the point whose summed distance to all is smallest, by the smoothed Weiszfeld algorithm
 * (Pillutla et al., Robust Aggregation for Federated Learning, arXiv 1912.13445, algorithm 2).
 */
export function geometricMedian(into: Float32Array, deltas: readonly Float32Array[], shares: readonly number[]): void {
  weightedMean(into, deltas, shares);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const distances = deltas.map((delta) => distance(into, delta));
    const floor = (SMOOTHING * distances.reduce((sum, d) => sum + d, 0)) / distances.length;
    if (floor === 0) return;
    const weights = distances.map((d, m) => shares[m]! / Math.max(floor, d));
    const total = weights.reduce((sum, w) => sum + w, 0);
    weightedMean(
      into,
      deltas,
      weights.map((w) => w / total),
    );
  }
}
