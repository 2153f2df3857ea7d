import { weightedMean } from './mean.ts';

/** Iterations of Weiszfeld's algorithm: the paper finds that a few do. */
const ITERATIONS = 8;
/** Smallest distance that is divided by, as a share of the mean one. */
const SMOOTHING = 1e-3;

/**
 * The geometric median of θ − θₘ: the point whose summed distance to all is smallest, by the smoothed Weiszfeld algorithm
 * (Pillutla et al., Robust Aggregation for Federated Learning, arXiv 1912.13445, algorithm 2).
 */
export function geometricMedian(
  into: Float32Array,
  theta: Float32Array,
  islands: readonly Float32Array[],
  shares: readonly number[],
): void {
  weightedMean(into, theta, islands, shares);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const distances = islands.map((island) => deltaDistance(into, theta, island));
    const floor = (SMOOTHING * distances.reduce((sum, d) => sum + d, 0)) / distances.length;
    if (floor === 0) return;
    const weights = distances.map((d, m) => shares[m]! / Math.max(floor, d));
    const total = weights.reduce((sum, w) => sum + w, 0);
    weightedMean(
      into,
      theta,
      islands,
      weights.map((w) => w / total),
    );
  }
}

/** ‖z − (θ − θₘ)‖ */
function deltaDistance(z: Float32Array, theta: Float32Array, island: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < z.length; i++) sum += (z[i]! - (theta[i]! - island[i]!)) ** 2;
  return Math.sqrt(sum);
}
