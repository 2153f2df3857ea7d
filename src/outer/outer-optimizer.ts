import type { OuterOptimizer } from './settings.ts';

/** A fragment as the coordinator keeps it: θ and what the outer optimizer remembers, all packed. */
export interface GlobalFragment {
  readonly parameters: Float32Array;
  /** v of momentum, m of the adaptive optimizers; zeros at first. */
  readonly velocity: Float32Array;
  /** v of the adaptive optimizers, the sum since the last momentum step of delayed Nesterov; empty for the others. */
  readonly second: Float32Array;
  /** Outer steps taken. */
  readonly steps: number;
}

export interface OuterStep {
  readonly optimizer: OuterOptimizer;
  /** η */
  readonly rate: number;
  /** μ of momentum, β₁ of the adaptive optimizers. */
  readonly momentum: number;
  /** N of delayed Nesterov: outer steps from one momentum step to the next. */
  readonly momentumPeriod: number;
  /** β₂ and τ of the adaptive optimizers. */
  readonly secondMomentum: number;
  readonly adaptivity: number;
}

/** Whether the optimizer keeps a second array. */
export const keepsSecond = (optimizer: OuterOptimizer): boolean =>
  optimizer === 'adam' || optimizer === 'yogi' || optimizer === 'delayed-nesterov';

/** A fragment before its first merge. The second moment of the adaptive optimizers begins at τ² (Reddi et al., algorithm 2). */
export function freshFragment(
  parameters: Float32Array,
  { optimizer, adaptivity }: Pick<OuterStep, 'optimizer' | 'adaptivity'>,
): GlobalFragment {
  const second = new Float32Array(keepsSecond(optimizer) ? parameters.length : 0);
  if (optimizer !== 'delayed-nesterov') second.fill(adaptivity ** 2);
  return { parameters, velocity: new Float32Array(parameters.length), second, steps: 0 };
}

/** Where a step puts its results; may be the arrays that it starts from. Memory of a large fragment costs more to touch anew than to compute. */
export type Target = Pick<GlobalFragment, 'parameters' | 'velocity' | 'second'>;

const freshTarget = ({ parameters, velocity, second }: GlobalFragment): Target => ({
  parameters: new Float32Array(parameters.length),
  velocity: new Float32Array(velocity.length),
  second: new Float32Array(second.length),
});

/** Takes the outer step along the averaged pseudo-gradient Δ. */
export function outerStep(
  current: GlobalFragment,
  delta: Float32Array,
  step: OuterStep,
  into: Target = freshTarget(current),
): GlobalFragment {
  switch (step.optimizer) {
    case 'nesterov':
    case 'momentum':
      withMomentum(current, delta, step, into);
      break;
    case 'delayed-nesterov':
      withDelayedMomentum(current, delta, step, into);
      break;
    case 'adam':
    case 'yogi':
      adaptive(current, delta, step, into);
  }
  return { ...into, steps: current.steps + 1 };
}

/**
 * v ← μv + Δ, then θ ← θ − η(Δ + μv) for Nesterov (DiLoCo, arXiv 2311.08105, algorithm 1; as `torch.optim.SGD` with
 * `nesterov=True` and no dampening; μ = 0, η = 1 is FedAvg), or θ ← θ − ηv for FedAvgM (Hsu et al., arXiv 1909.06335,
 * section 4).
 */
function withMomentum(
  { parameters, velocity }: GlobalFragment,
  delta: Float32Array,
  { rate, momentum, optimizer }: OuterStep,
  into: Target,
): void {
  const ahead = optimizer === 'nesterov';
  for (let i = 0; i < delta.length; i++) {
    const next = momentum * velocity[i]! + delta[i]!;
    into.velocity[i] = next;
    into.parameters[i] = parameters[i]! - rate * (ahead ? delta[i]! + momentum * next : next);
  }
}

/**
 * Delayed Nesterov (Liu et al., Asynchronous Local-SGD Training for Language Modeling, arXiv 2401.09135, algorithm 3, with
 * c = 0): single islands' Δ move θ by ηΔ/N as they come, and every N-th time the momentum, v ← μv + ΣΔ/N, moves it by ημv. So
 * N islands one by one have the momentum of one round together, and not of N.
 */
function withDelayedMomentum(
  { parameters, velocity, second, steps }: GlobalFragment,
  delta: Float32Array,
  { rate, momentum, momentumPeriod }: OuterStep,
  into: Target,
): void {
  const turn = (steps + 1) % momentumPeriod === 0;
  for (let i = 0; i < delta.length; i++) {
    const share = delta[i]! / momentumPeriod;
    const sum = second[i]! + share;
    const v = turn ? momentum * velocity[i]! + sum : velocity[i]!;
    into.velocity[i] = v;
    into.second[i] = turn ? 0 : sum;
    into.parameters[i] = parameters[i]! - rate * (share + (turn ? momentum * v : 0));
  }
}

/**
 * FedAdam and FedYogi (Reddi et al., Adaptive Federated Optimization, arXiv 2003.00295, algorithm 2):
 * m ← β₁m + (1 − β₁)Δ, v ← β₂v + (1 − β₂)Δ² (Yogi: v ← v − (1 − β₂)Δ² sign(v − Δ²)), θ ← θ − ηm / (√v + τ).
 */
function adaptive(
  { parameters, velocity, second }: GlobalFragment,
  delta: Float32Array,
  { rate, momentum, secondMomentum, adaptivity, optimizer }: OuterStep,
  into: Target,
): void {
  for (let i = 0; i < delta.length; i++) {
    const d = delta[i]!;
    const mean = momentum * velocity[i]! + (1 - momentum) * d;
    const fresh = (1 - secondMomentum) * d * d;
    const square =
      optimizer === 'adam' ? secondMomentum * second[i]! + fresh : second[i]! - fresh * Math.sign(second[i]! - d * d);
    into.velocity[i] = mean;
    into.second[i] = square;
    into.parameters[i] = parameters[i]! - (rate * mean) / (Math.sqrt(square) + adaptivity);
  }
}
