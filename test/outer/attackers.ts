import { seededRandom } from '../../src/ml/tensor/random.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { contributionOf, type MergeRule, mergeFragment } from '../../src/outer/merge.ts';
import { freshFragment } from '../../src/outer/outer-optimizer.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';

/**
 * A small federation that trains a softmax classifier of three Gaussian clouds by local SGD, with some islands that lie. It is
 * small enough to compute in plain loops, and convex, so that what an attack does is the rule's doing.
 */

export type Attack = 'none' | 'sign-flip' | 'scaling' | 'noise' | 'label-flip';

const [CLASSES, FEATURES] = [3, 8];
const ELEMENTS = CLASSES * (FEATURES + 1);
const FRAGMENT: Fragment = {
  index: 0,
  elements: ELEMENTS,
  tensors: [{ name: 'w', elements: ELEMENTS, role: 'other' }],
};

interface Example {
  readonly x: Float64Array;
  readonly label: number;
}

function examples(count: number, seed: number): readonly Example[] {
  const centres = seededRandom(99);
  const centre = Array.from({ length: CLASSES }, () => Float64Array.from({ length: FEATURES }, () => centres.normal()));
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, i) => {
    const label = i % CLASSES;
    return { label, x: centre[label]!.map((c) => c + 0.9 * random.normal()) };
  });
}

function logitsOf(w: Float32Array, x: Float64Array): readonly number[] {
  return Array.from({ length: CLASSES }, (_, c) => {
    let sum = w[c * (FEATURES + 1) + FEATURES]!;
    for (let f = 0; f < FEATURES; f++) sum += w[c * (FEATURES + 1) + f]! * x[f]!;
    return sum;
  });
}

function probabilities(logits: readonly number[]): readonly number[] {
  const highest = Math.max(...logits);
  const weights = logits.map((z) => Math.exp(z - highest));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((p) => p / total);
}

/** Mean cross-entropy on fresh examples; infinite when the parameters are no numbers any more. */
function loss(w: Float32Array): number {
  const held = examples(600, 5);
  const sum = held.reduce(
    (total, { x, label }) => total - Math.log(Math.max(1e-300, probabilities(logitsOf(w, x))[label]!)),
    0,
  );
  return Number.isFinite(sum) ? sum / held.length : Number.POSITIVE_INFINITY;
}

function localSteps(start: Float32Array, data: readonly Example[], steps: number, at: number): Float32Array {
  const w = start.slice();
  for (let step = 0; step < steps; step++) {
    const { x, label } = data[(at * steps + step) % data.length]!;
    const p = probabilities(logitsOf(w, x));
    for (let c = 0; c < CLASSES; c++) {
      const error = 0.05 * (p[c]! - (c === label ? 1 : 0));
      for (let f = 0; f < FEATURES; f++) w[c * (FEATURES + 1) + f]! -= error * x[f]!;
      w[c * (FEATURES + 1) + FEATURES]! -= error;
    }
  }
  return w;
}

/** What a lying island hands in instead of where it honestly is. */
function disguise(
  attack: Attack,
  theta: Float32Array,
  honest: Float32Array,
  random: ReturnType<typeof seededRandom>,
): Float32Array {
  switch (attack) {
    case 'sign-flip':
      return honest.map((x, i) => theta[i]! - 4 * (x - theta[i]!));
    case 'scaling':
      return honest.map((x, i) => theta[i]! - 100 * (x - theta[i]!));
    case 'noise':
      return honest.map((x) => x + 3 * random.normal());
    case 'none':
    case 'label-flip':
      return honest;
  }
}

/**
 * Trains for 30 rounds. @param attackers of `islands` lie in every round @returns the held-out loss of the merged model
 */
export function federate(rule: Partial<MergeRule>, attack: Attack, attackers: number, islands: number): number {
  const random = seededRandom(17);
  const settings: MergeRule = { ...STRATEGIES.fedavg({ islands, steps: 600, inner: 'adamw' }), ...rule };
  const data = Array.from({ length: islands }, (_, m) => {
    const own = examples(120, 1000 + m);
    return attack === 'label-flip' && m < attackers ? own.map(({ x }) => ({ x, label: 0 })) : own;
  });
  let global = freshFragment(new Float32Array(ELEMENTS), settings);
  for (let round = 0; round < 30; round++) {
    const contributions = data.map((own, m) => {
      const honest = localSteps(global.parameters, own, 20, round);
      const parameters = m < attackers ? disguise(attack, global.parameters, honest, random) : honest;
      return contributionOf(
        global.parameters.map((x, i) => x - parameters[i]!),
        1,
      );
    });
    global = mergeFragment(FRAGMENT, global, contributions, settings).merged;
  }
  return loss(global.parameters);
}
