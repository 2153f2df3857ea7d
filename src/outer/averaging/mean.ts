import { length } from './vectors.ts';

/** Σ scaleₘ Δₘ. */
export function weightedMean(into: Float32Array, deltas: readonly Float32Array[], scales: readonly number[]): void {
  for (let i = 0; i < into.length; i++) {
    let sum = 0;
    for (let m = 0; m < deltas.length; m++) sum += scales[m]! * deltas[m]![i]!;
    into[i] = sum;
  }
}

/**
 * Radial–directional averaging (Decoupled DiLoCo, arXiv 2604.21428): the mean length along the mean direction, so that a
 * step does not shrink as islands' nearly orthogonal pseudo-gradients are averaged. Islands that did not move, and mean
 * directions that cancel out, fall back to the plain mean.
 */
export function radialDirectional(
  into: Float32Array,
  deltas: readonly Float32Array[],
  shares: readonly number[],
): void {
  const lengths = deltas.map(length);
  const meanLength = lengths.reduce((sum, l, m) => sum + shares[m]! * l, 0);
  weightedMean(
    into,
    deltas,
    shares.map((share, m) => (lengths[m] === 0 ? 0 : share / lengths[m]!)),
  );
  const directionLength = length(into);
  if (directionLength < 1e-6) weightedMean(into, deltas, shares);
  else {
    const scale = meanLength / directionLength;
    for (let i = 0; i < into.length; i++) into[i]! *= scale;
  }
}
