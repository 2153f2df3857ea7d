import { weightedMean } from './mean.ts';
import { distance } from './vectors.ts';

/**
 * Krum and Multi-Krum (Blanchard et al., Machine Learning with Adversaries, NeurIPS 2017): an island's score is the sum of
 * squared distances to its n − f − 2 nearest others; the best `chosen` are averaged, alike. Whoever stands far from the
 * crowd is not among them.
 *
 * @param faulty f: how many islands may be lying; the paper asks for n > 2f + 2, with fewer it is a heuristic
 */
export function krum(into: Float32Array, deltas: readonly Float32Array[], faulty: number, chosen: number): void {
  const count = deltas.length;
  const squared = deltas.map((a) => deltas.map((b) => (a === b ? 0 : distance(a, b) ** 2)));
  const nearest = Math.max(1, count - faulty - 2);
  const scores = squared.map((row, m) =>
    row
      .filter((_, other) => other !== m)
      .sort((a, b) => a - b)
      .slice(0, nearest)
      .reduce((sum, d) => sum + d, 0),
  );
  const best = scores
    .map((score, m) => ({ score, m }))
    .sort((a, b) => a.score - b.score || a.m - b.m)
    .slice(0, Math.max(1, chosen));
  const kept = best.map(({ m }) => deltas[m]!);
  weightedMean(
    into,
    kept,
    kept.map(() => 1 / kept.length),
  );
}
