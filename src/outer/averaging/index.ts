import type { Fragment } from '../fragments.ts';
import { unpack } from '../fragments.ts';
import type { Averaging } from '../settings.ts';
import { coordinateMedian, trimmedMean } from './coordinate.ts';
import { geometricMedian } from './geometric-median.ts';
import { krum } from './krum.ts';
import { radialDirectional, weightedMean } from './mean.ts';

/** How a rule is set: which, and the share of islands that it is to survive. */
export interface AveragingRule {
  readonly averaging: Averaging;
  readonly faultyShare: number;
}

/**
 * The average of the islands' pseudo-gradients, packed, by a rule. Rules that look at each number alone take all tensors at
 * once; those that look at lengths and distances take the whole fragment, or each tensor where the paper does.
 *
 * @param shares each one's share of the weight, together 1
 */
export function average(
  fragment: Fragment,
  deltas: readonly Float32Array[],
  shares: readonly number[],
  { averaging, faultyShare }: AveragingRule,
): Float32Array {
  const mean = new Float32Array(fragment.elements);
  const faulty = Math.min(Math.ceil(faultyShare * deltas.length), Math.floor((deltas.length - 1) / 2));
  switch (averaging) {
    case 'mean':
      weightedMean(mean, deltas, shares);
      break;
    case 'radial-directional':
      eachTensor(fragment, mean, deltas, (role, into, parts) =>
        role === 'embedding' ? weightedMean(into, parts, shares) : radialDirectional(into, parts, shares),
      );
      break;
    case 'median':
      coordinateMedian(mean, deltas);
      break;
    case 'trimmed-mean':
      trimmedMean(mean, deltas, faulty);
      break;
    case 'krum':
      krum(mean, deltas, faulty, 1);
      break;
    case 'multi-krum':
      krum(mean, deltas, faulty, deltas.length - faulty);
      break;
    case 'geometric-median':
      geometricMedian(mean, deltas, shares);
      break;
  }
  return mean;
}

type Role = Fragment['tensors'][number]['role'];

function eachTensor(
  fragment: Fragment,
  mean: Float32Array,
  deltas: readonly Float32Array[],
  rule: (role: Role, into: Float32Array, deltas: readonly Float32Array[]) => void,
): void {
  const parts = deltas.map((delta) => unpack(fragment, delta));
  const roles = new Map(fragment.tensors.map(({ name, role }) => [name, role]));
  for (const [name, into] of unpack(fragment, mean)) {
    rule(
      roles.get(name)!,
      into,
      parts.map((part) => part.get(name)!),
    );
  }
}
