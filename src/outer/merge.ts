import { type AveragingRule, average } from './averaging/index.ts';
import type { Fragment } from './fragments.ts';
import { boundNorms } from './norm-bound.ts';
import { type GlobalFragment, type OuterStep, outerStep } from './outer-optimizer.ts';
import type { Weighting } from './settings.ts';

/** What one island brings to the merge of a fragment. */
export interface Contribution {
  /** Its parameters of the fragment, packed. */
  readonly parameters: Float32Array;
  /** Its weight, see {@link weightOf}; contributions of weight 0 are left out. */
  readonly weight: number;
}

export interface MergeRule extends AveragingRule, OuterStep {
  /** How many times the median length a contribution may have; longer ones are scaled down. */
  readonly normBound: number;
}

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
 * The one merge path: bound the contributions' lengths, average them to Δ, take the outer step on θ.
 *
 * All contributions are differenced against the coordinator's current fragment (Decoupled DiLoCo, section on
 * stale contributions). They are added in the order given, so the same order gives the same bits.
 *
 * @returns a new fragment; when no contribution has weight, the same
 */
export function mergeFragment(
  fragment: Fragment,
  current: GlobalFragment,
  contributions: readonly Contribution[],
  rule: MergeRule,
): GlobalFragment {
  const present = contributions.filter(({ weight }) => weight > 0);
  if (present.length === 0) return current;
  return outerStep(current, pseudoGradient(fragment, current.parameters, present, rule), rule);
}

/** The average of the islands' pseudo-gradients θ − θ_m, packed. */
export function pseudoGradient(
  fragment: Fragment,
  current: Float32Array,
  contributions: readonly Contribution[],
  rule: AveragingRule & Pick<MergeRule, 'normBound'>,
): Float32Array {
  const total = contributions.reduce((sum, { weight }) => sum + weight, 0);
  const shares = contributions.map(({ weight }) => weight / total);
  const islands = boundNorms(
    current,
    contributions.map(({ parameters }) => parameters),
    rule.normBound,
  );
  return average(fragment, current, { islands, shares }, rule);
}
