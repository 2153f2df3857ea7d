/**
 * A seeded permutation of 0 … count − 1 that needs no memory: a Feistel network over the next power of four, walked
 * until it falls inside the range (cycle walking, Black and Rogaway 2002). So a shuffled data set of any size resumes at
 * any place at once.
 *
 * @param count at most 2⁵²
 */
export function permutation(count: number, ...seeds: readonly number[]): (index: number) => number {
  const bits = Math.max(1, Math.ceil(Math.log2(Math.max(2, count)) / 2));
  const half = 2 ** bits;
  const keys = Array.from({ length: ROUNDS }, (_, round) => seeds.reduce((hash, seed) => mix(hash, seed), round + 1));
  const once = (value: number): number => {
    let left = Math.floor(value / half);
    let right = value % half;
    for (const key of keys) [left, right] = [right, (left ^ mix(key, right)) & (half - 1)];
    // A shift by 31 bits at most: half is at most 2²⁶.
    return (left >>> 0) * half + (right >>> 0);
  };
  return (index) => {
    let value = once(index);
    while (value >= count) value = once(value);
    return value;
  };
}

const ROUNDS = 6;

/** The finalizer of MurmurHash3 over both words. */
function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ (value | 0) ^ Math.imul(Math.floor(value / 2 ** 32) | 0, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return Math.imul(h ^ (h >>> 15), 0x27d4eb2f) ^ hash;
}
