import { distance } from './averaging/vectors.ts';

/** Contributions from which on there is a crowd to be measured by. */
const CROWD = 3;

/**
 * Holds every contribution's length to a multiple of the median one, by scaling θ − θₘ down (Sun et al., Can You Really
 * Backdoor Federated Learning?, arXiv 1911.07963, section 4): whoever shouts is heard as loud as the others at most.
 * It is always on, whatever rule averages; islands that trained alike are far below the bound, and stay as they are.
 *
 * @param bound how many times the median length is allowed
 * @returns the contributions, those within the bound the same arrays
 */
export function boundNorms(
  theta: Float32Array,
  islands: readonly Float32Array[],
  bound: number,
): readonly Float32Array[] {
  if (islands.length < CROWD) return islands;
  const lengths = islands.map((island) => distance(theta, island));
  const allowed = bound * median(lengths);
  return islands.map((island, m) => {
    if (lengths[m]! <= allowed) return island;
    const scale = allowed / lengths[m]!;
    return island.map((x, i) => theta[i]! + scale * (x - theta[i]!));
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
