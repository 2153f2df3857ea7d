/** Contributions needed for a meaningful median. */
const CROWD = 3;

/**
 * Norm clipping: scales each Δₘ down to at most a multiple of the median norm (Sun et al., Can You Really Backdoor
 * Federated Learning?, arXiv 1911.07963, section 4).
 * It is always on, whatever rule averages; islands that trained alike are far below the bound, and stay as they are.
 *
 * @param lengths ‖Δₘ‖ @param bound how many times the median length is allowed
 * @returns what each Δₘ is multiplied by, 1 for those within the bound
 */
export function normFactors(lengths: readonly number[], bound: number): readonly number[] {
  if (lengths.length < CROWD) return lengths.map(() => 1);
  const allowed = bound * median(lengths);
  return lengths.map((length) => (length <= allowed ? 1 : allowed / length));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
