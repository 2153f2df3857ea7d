import type { Fragment } from '../fragments.ts';
import { unpack } from '../fragments.ts';
import type { Averaging } from '../settings.ts';
import { coordinateMedian, trimmedMean } from './coordinate.ts';
import { geometricMedian } from './geometric-median.ts';
import { krum } from './krum.ts';
import { radialDirectional, weightedMean } from './mean.ts';

/** What islands bring to a merge: where each is with a fragment, packed, and its share of the weight (together 1). */
export interface Averaged {
  readonly islands: readonly Float32Array[];
  readonly shares: readonly number[];
}

/** How a rule is set: which, and the share of islands that it is to survive. */
export interface AveragingRule {
  readonly averaging: Averaging;
  readonly faultyShare: number;
}

/**
 * The average of the islands' pseudo-gradients θ − θ_m, packed, by a rule. Rules that look at each number alone take all
 * tensors at once; those that look at lengths and distances take the whole fragment, or each tensor where the paper does.
 */
export function average(
  fragment: Fragment,
  theta: Float32Array,
  { islands, shares }: Averaged,
  { averaging, faultyShare }: AveragingRule,
): Float32Array {
  const delta = new Float32Array(theta.length);
  const faulty = Math.min(Math.ceil(faultyShare * islands.length), Math.floor((islands.length - 1) / 2));
  switch (averaging) {
    case 'mean':
      weightedMean(delta, theta, islands, shares);
      break;
    case 'radial-directional':
      eachTensor(fragment, delta, theta, islands, (role, into, from, parts) =>
        role === 'embedding' ? weightedMean(into, from, parts, shares) : radialDirectional(into, from, parts, shares),
      );
      break;
    case 'median':
      coordinateMedian(delta, theta, islands);
      break;
    case 'trimmed-mean':
      trimmedMean(delta, theta, islands, faulty);
      break;
    case 'krum':
      krum(delta, theta, islands, faulty, 1);
      break;
    case 'multi-krum':
      krum(delta, theta, islands, faulty, islands.length - faulty);
      break;
    case 'geometric-median':
      geometricMedian(delta, theta, islands, shares);
      break;
  }
  return delta;
}

type Role = Fragment['tensors'][number]['role'];

function eachTensor(
  fragment: Fragment,
  delta: Float32Array,
  theta: Float32Array,
  islands: readonly Float32Array[],
  rule: (role: Role, into: Float32Array, theta: Float32Array, islands: readonly Float32Array[]) => void,
): void {
  const parts = islands.map((parameters) => unpack(fragment, parameters));
  const thetas = unpack(fragment, theta);
  const roles = new Map(fragment.tensors.map(({ name, role }) => [name, role]));
  for (const [name, into] of unpack(fragment, delta)) {
    rule(
      roles.get(name)!,
      into,
      thetas.get(name)!,
      parts.map((part) => part.get(name)!),
    );
  }
}
