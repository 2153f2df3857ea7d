/**
 * Rules that look at every number alone (Yin et al., Byzantine-Robust Distributed Learning, arXiv 1803.01498). Islands count
 * alike: a weight that an island reports itself would be a way to be heard more than once.
 */

/** The median of Δₘ; of an even number of islands the mean of the middle two. */
export function coordinateMedian(into: Float32Array, deltas: readonly Float32Array[]): void {
  trimmedMean(into, deltas, Math.floor((deltas.length - 1) / 2));
}

/** The mean of Δₘ without the `trim` smallest and the `trim` largest. @param trim less than half of the islands */
export function trimmedMean(into: Float32Array, deltas: readonly Float32Array[], trim: number): void {
  const kept = deltas.length - 2 * trim;
  const values = new Float64Array(deltas.length);
  for (let i = 0; i < into.length; i++) {
    for (let m = 0; m < deltas.length; m++) values[m] = deltas[m]![i]!;
    values.sort();
    let sum = 0;
    for (let m = trim; m < trim + kept; m++) sum += values[m]!;
    into[i] = sum / kept;
  }
}
