import { type AveragingRule, average } from './averaging/index.ts';
import { addChunk, squaresOf } from './codecs/index.ts';
import type { Fragment } from './fragments.ts';
import { normFactors } from './norm-bound.ts';
import { type GlobalFragment, type OuterStep, outerStep, type Target } from './outer-optimizer.ts';
import type { Weighting } from './settings.ts';

/** Where one island is with a fragment, as its pseudo-gradient Δₘ = θ − θₘ, which need not be unpacked yet. */
export interface PseudoGradient {
  /** ‖Δₘ‖² */
  readonly squares: number;
  /** sum ← sum + scale · Δₘ */
  addTo(sum: Float32Array, scale: number): void;
}

/** A contribution to a merge. */
export interface Contribution extends PseudoGradient {
  /** Its weight, see {@link weightOf}; contributions of weight 0 are left out. */
  readonly weight: number;
}

export interface MergeRule extends AveragingRule, OuterStep {
  /** How many times the median length a contribution may have; longer ones are scaled down. */
  readonly normBound: number;
}

/** A contribution from a packed pseudo-gradient. */
export const contributionOf = (delta: Float32Array, weight: number): Contribution => ({
  weight,
  squares: squaresOf(delta),
  addTo: (sum, scale) => addChunk(sum, delta, 0, scale),
});

/**
 * Weight of a contribution (Decoupled DiLoCo, token weights): quantity, or quantity times quality.
 *
 * @param tokens tokens trained on since the island last received the fragment
 * @param steps inner steps since then
 */
export function weightOf(rule: Weighting, tokens: number, steps: number): number {
  if (tokens === 0 || steps === 0) return 0;
  return rule === 'tokens' ? tokens : tokens * (tokens / steps);
}

/**
 * The one merge path: bound the contributions' lengths, average them to Δ, take the outer step on θ. They are added in the
 * order given, so the same order gives the same bits.
 *
 * @param into where θ and what the outer optimizer remembers go; new memory when left out
 * @returns a new fragment, and the Δ that led to it; when no contribution has weight, the same and nothing
 */
export function mergeFragment(
  fragment: Fragment,
  current: GlobalFragment,
  contributions: readonly Contribution[],
  rule: MergeRule,
  into?: Target,
): { readonly merged: GlobalFragment; readonly delta: Float32Array } {
  const present = contributions.filter(({ weight }) => weight > 0);
  if (present.length === 0) return { merged: current, delta: new Float32Array(fragment.elements) };
  const delta = pseudoGradient(fragment, present, rule);
  return { merged: outerStep(current, delta, rule, into), delta };
}

/**
 * The average of the islands' pseudo-gradients, packed. The plain mean is added up one contribution at a time, whatever
 * their number; the other rules need all of them at once.
 */
export function pseudoGradient(
  fragment: Fragment,
  contributions: readonly Contribution[],
  rule: AveragingRule & Pick<MergeRule, 'normBound'>,
): Float32Array {
  const total = contributions.reduce((sum, { weight }) => sum + weight, 0);
  const shares = contributions.map(({ weight }) => weight / total);
  const factors = normFactors(
    contributions.map(({ squares }) => Math.sqrt(squares)),
    rule.normBound,
  );
  if (rule.averaging === 'mean') {
    const sum = new Float32Array(fragment.elements);
    for (const [m, contribution] of contributions.entries()) contribution.addTo(sum, shares[m]! * factors[m]!);
    return sum;
  }
  const deltas = contributions.map((contribution, m) => {
    const delta = new Float32Array(fragment.elements);
    contribution.addTo(delta, factors[m]!);
    return delta;
  });
  return average(fragment, deltas, shares, rule);
}
