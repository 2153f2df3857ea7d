import type { Fragment } from './fragments.ts';
import { unpack } from './fragments.ts';
import type { Averaging, Weighting } from './settings.ts';

/** What one island brings to the merge of a fragment. */
export interface Contribution {
  /** Its parameters of the fragment, packed. */
  readonly parameters: Float32Array;
  /** Its weight, see {@link weightOf}; contributions of weight 0 are left out. */
  readonly weight: number;
}

/** A fragment as the coordinator keeps it. */
export interface GlobalFragment {
  /** θ, packed. */
  readonly parameters: Float32Array;
  /** v of the outer optimizer, packed; zeros at first. */
  readonly velocity: Float32Array;
}

export interface MergeRule {
  readonly rate: number;
  readonly momentum: number;
  readonly averaging: Averaging;
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
 * The one merge path: Δ = average of (θ − θ_m), then the outer step on θ.
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
  return outerStep(current, pseudoGradient(fragment, current.parameters, present, rule.averaging), rule);
}

/** The weighted average of the islands' pseudo-gradients θ − θ_m, packed. */
export function pseudoGradient(
  fragment: Fragment,
  current: Float32Array,
  contributions: readonly Contribution[],
  averaging: Averaging,
): Float32Array {
  const total = contributions.reduce((sum, { weight }) => sum + weight, 0);
  const shares = contributions.map(({ weight }) => weight / total);
  const result = new Float32Array(fragment.elements);
  const parts = contributions.map(({ parameters }) => unpack(fragment, parameters));
  const thetas = unpack(fragment, current);
  for (const [name, delta] of unpack(fragment, result)) {
    const theta = thetas.get(name)!;
    const islands = parts.map((part) => part.get(name)!);
    const role = fragment.tensors.find((t) => t.name === name)!.role;
    if (averaging === 'mean' || role === 'embedding') weightedMean(delta, theta, islands, shares);
    else radialDirectional(delta, theta, islands, shares);
  }
  return result;
}

/**
 * Nesterov momentum, v ← μv + Δ and θ ← θ − η(Δ + μv) (DiLoCo, algorithm 1; as `torch.optim.SGD` with
 * `nesterov=True` and no dampening). μ = 0, η = 1 is FedAvg.
 */
export function outerStep(
  { parameters, velocity }: GlobalFragment,
  delta: Float32Array,
  { rate, momentum }: Pick<MergeRule, 'rate' | 'momentum'>,
): GlobalFragment {
  const next = { parameters: new Float32Array(delta.length), velocity: new Float32Array(delta.length) };
  for (let i = 0; i < delta.length; i++) {
    const v = momentum * velocity[i]! + delta[i]!;
    next.velocity[i] = v;
    next.parameters[i] = parameters[i]! - rate * (delta[i]! + momentum * v);
  }
  return next;
}

function weightedMean(
  into: Float32Array,
  theta: Float32Array,
  islands: readonly Float32Array[],
  scales: readonly number[],
): void {
  for (let i = 0; i < into.length; i++) {
    let sum = 0;
    for (let m = 0; m < islands.length; m++) sum += scales[m]! * (theta[i]! - islands[m]![i]!);
    into[i] = sum;
  }
}

/**
 * Radial–directional averaging (Decoupled DiLoCo): the mean length along the mean direction, so that a step does
 * not shrink as islands' nearly orthogonal pseudo-gradients are averaged. Islands that did not move, and mean
 * directions that cancel out, fall back to the plain mean.
 */
function radialDirectional(
  into: Float32Array,
  theta: Float32Array,
  islands: readonly Float32Array[],
  shares: readonly number[],
): void {
  const lengths = islands.map((island) => distance(theta, island));
  const meanLength = lengths.reduce((sum, length, m) => sum + shares[m]! * length, 0);
  weightedMean(
    into,
    theta,
    islands,
    shares.map((share, m) => (lengths[m] === 0 ? 0 : share / lengths[m]!)),
  );
  const directionLength = Math.sqrt(into.reduce((sum, x) => sum + x * x, 0));
  if (directionLength < 1e-6) weightedMean(into, theta, islands, shares);
  else {
    const scale = meanLength / directionLength;
    for (let i = 0; i < into.length; i++) into[i]! *= scale;
  }
}

function distance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}
