import type { OuterOptimizer } from './settings.ts';

/** A fragment as the coordinator keeps it: θ and what the outer optimizer remembers, all packed. */
export interface GlobalFragment {
  readonly parameters: Float32Array;
  /** v of momentum, m of the adaptive optimizers; zeros at first. */
  readonly velocity: Float32Array;
  /** v of the adaptive optimizers; empty for the others. */
  readonly square: Float32Array;
}

export interface OuterStep {
  readonly optimizer: OuterOptimizer;
  /** η */
  readonly rate: number;
  /** μ of momentum, β₁ of the adaptive optimizers. */
  readonly momentum: number;
  /** β₂ and τ of the adaptive optimizers. */
  readonly secondMomentum: number;
  readonly adaptivity: number;
}

/** Whether the optimizer keeps a second moment. */
export const isAdaptive = (optimizer: OuterOptimizer): boolean => optimizer === 'adam' || optimizer === 'yogi';

/** A fragment before its first merge. The second moment begins at τ² (Reddi et al., algorithm 2). */
export const freshFragment = (
  parameters: Float32Array,
  { optimizer, adaptivity }: Pick<OuterStep, 'optimizer' | 'adaptivity'>,
): GlobalFragment => ({
  parameters,
  velocity: new Float32Array(parameters.length),
  square: isAdaptive(optimizer) ? new Float32Array(parameters.length).fill(adaptivity ** 2) : new Float32Array(0),
});

/** Takes the outer step along the averaged pseudo-gradient Δ. */
export function outerStep(current: GlobalFragment, delta: Float32Array, step: OuterStep): GlobalFragment {
  switch (step.optimizer) {
    case 'nesterov':
    case 'momentum':
      return withMomentum(current, delta, step);
    case 'adam':
    case 'yogi':
      return adaptive(current, delta, step);
  }
}

/**
 * v ← μv + Δ, then θ ← θ − η(Δ + μv) for Nesterov (DiLoCo, arXiv 2311.08105, algorithm 1; as `torch.optim.SGD` with
 * `nesterov=True` and no dampening; μ = 0, η = 1 is FedAvg), or θ ← θ − ηv for FedAvgM (Hsu et al., arXiv 1909.06335,
 * section 4).
 */
function withMomentum(
  { parameters, velocity, square }: GlobalFragment,
  delta: Float32Array,
  step: OuterStep,
): GlobalFragment {
  const { rate, momentum, optimizer } = step;
  const ahead = optimizer === 'nesterov';
  const next = { parameters: new Float32Array(delta.length), velocity: new Float32Array(delta.length), square };
  for (let i = 0; i < delta.length; i++) {
    const v = momentum * velocity[i]! + delta[i]!;
    next.velocity[i] = v;
    next.parameters[i] = parameters[i]! - rate * (ahead ? delta[i]! + momentum * v : v);
  }
  return next;
}

/**
 * FedAdam and FedYogi (Reddi et al., Adaptive Federated Optimization, arXiv 2003.00295, algorithm 2):
 * m ← β₁m + (1 − β₁)Δ, v ← β₂v + (1 − β₂)Δ² (Yogi: v ← v − (1 − β₂)Δ² sign(v − Δ²)), θ ← θ − ηm / (√v + τ).
 */
function adaptive(current: GlobalFragment, delta: Float32Array, step: OuterStep): GlobalFragment {
  const { parameters, velocity, square } = current;
  const { rate, momentum, secondMomentum, adaptivity, optimizer } = step;
  const next = {
    parameters: new Float32Array(delta.length),
    velocity: new Float32Array(delta.length),
    square: new Float32Array(delta.length),
  };
  for (let i = 0; i < delta.length; i++) {
    const d = delta[i]!;
    const m = momentum * velocity[i]! + (1 - momentum) * d;
    const fresh = (1 - secondMomentum) * d * d;
    const v =
      optimizer === 'adam' ? secondMomentum * square[i]! + fresh : square[i]! - fresh * Math.sign(square[i]! - d * d);
    next.velocity[i] = m;
    next.square[i] = v;
    next.parameters[i] = parameters[i]! - (rate * m) / (Math.sqrt(v) + adaptivity);
  }
  return next;
}
