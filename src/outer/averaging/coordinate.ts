/**
 * Rules that look at every number alone (Yin et al., Byzantine-Robust Distributed Learning, arXiv 1803.01498). Islands count
 * alike: a weight that an island reports itself would be a way to be heard more than once.
 */

/** The median of θ − θₘ; of an even number of islands the mean of the middle two. */
export function coordinateMedian(into: Float32Array, theta: Float32Array, islands: readonly Float32Array[]): void {
  trimmedMean(into, theta, islands, Math.floor((islands.length - 1) / 2));
}

/** The mean of θ − θₘ without the `trim` smallest and the `trim` largest. @param trim less than half of the islands */
export function trimmedMean(
  into: Float32Array,
  theta: Float32Array,
  islands: readonly Float32Array[],
  trim: number,
): void {
  const kept = islands.length - 2 * trim;
  const values = new Float64Array(islands.length);
  for (let i = 0; i < into.length; i++) {
    for (let m = 0; m < islands.length; m++) values[m] = islands[m]![i]!;
    values.sort();
    let sum = 0;
    for (let m = trim; m < trim + kept; m++) sum += values[m]!;
    into[i] = theta[i]! - sum / kept;
  }
}
