import type { Builder, Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';

/** The inner optimizer's settings. Rates are those at the top of the schedule. */
export type InnerOptimizer =
  | ({ readonly kind: 'adamw'; readonly rate: number } & AdamSettings)
  | ({
      readonly kind: 'muon';
      /** Muon's rate, for the matrices inside blocks. */
      readonly rate: number;
      readonly momentum: number;
      /** AdamW's rate, for all other parameters. */
      readonly adamRate: number;
    } & AdamSettings);

interface AdamSettings {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101); biases and norms are exempt. */
  readonly weightDecay: number;
}

/** Scalars of one step that the graph takes as inputs. */
export interface StepScalars {
  /** Rate of this step for AdamW's parameters. */
  readonly adamRate: Value;
  /** Rate of this step for Muon's parameters. */
  readonly matrixRate: Value;
  /** 1 / (1 − β₁ᵗ) and 1 / (1 − β₂ᵗ), t the step counted from 1. */
  readonly correction1: Value;
  readonly correction2: Value;
}

/** Which moments the optimizer keeps for a parameter, each of the parameter's shape. */
export function momentsOf(optimizer: InnerOptimizer, spec: ParameterSpec): readonly string[] {
  return usesMuon(optimizer, spec) ? ['momentum'] : ['mean', 'square'];
}

const usesMuon = (optimizer: InnerOptimizer, spec: ParameterSpec): boolean =>
  optimizer.kind === 'muon' && spec.role === 'matrix';

/** Appends the update of one parameter; `moments` as {@link momentsOf} lists them. */
export function updateParameter(
  g: Builder,
  optimizer: InnerOptimizer,
  spec: ParameterSpec,
  parameter: Value,
  gradient: Value,
  moments: readonly Value[],
  scalars: StepScalars,
): { readonly parameter: Value; readonly moments: readonly Value[] } {
  return optimizer.kind === 'muon' && spec.role === 'matrix'
    ? muon(g, optimizer.momentum, optimizer.weightDecay, spec, parameter, gradient, moments[0]!, scalars.matrixRate)
    : adamW(g, optimizer, spec, parameter, gradient, moments, scalars);
}

function adamW(
  g: Builder,
  settings: AdamSettings,
  spec: ParameterSpec,
  parameter: Value,
  gradient: Value,
  moments: readonly Value[],
  { adamRate, correction1, correction2 }: StepScalars,
): { readonly parameter: Value; readonly moments: readonly Value[] } {
  const [beta1, beta2] = settings.betas;
  const scaled = (value: Value, factor: Value): Value => g.one('Mul', [value, factor]);
  const mean = lerp(g, moments[0]!, gradient, beta1);
  const square = lerp(g, moments[1]!, g.one('Mul', [gradient, gradient]), beta2);
  // rate · c₁m / (√(c₂v) + ε) as m / (√v · √c₂ / (rate c₁) + ε / (rate c₁)): the scalars first, so that each number
  // of the parameter is touched as few times as possible.
  const perRate = g.one('Reciprocal', [scaled(adamRate, correction1)]);
  const root = scaled(g.one('Sqrt', [square]), scaled(g.one('Sqrt', [correction2]), perRate));
  const update = g.one('Div', [mean, g.one('Add', [root, scaled(perRate, g.scalar(settings.epsilon))])]);
  const decay = spec.role === 'vector' ? 0 : settings.weightDecay;
  return { parameter: g.one('Sub', [decayed(g, parameter, adamRate, decay), update]), moments: [mean, square] };
}

/**
 * Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): Nesterov momentum, then the nearest
 * semi-orthogonal matrix of the update, scaled by √max(1, out / in).
 */
function muon(
  g: Builder,
  momentumFactor: number,
  weightDecay: number,
  spec: ParameterSpec,
  parameter: Value,
  gradient: Value,
  buffer: Value,
  rate: Value,
): { readonly parameter: Value; readonly moments: readonly Value[] } {
  const factor = g.scalar(momentumFactor);
  const momentum = g.one('Add', [g.one('Mul', [buffer, factor]), gradient]);
  const ahead = g.one('Add', [gradient, g.one('Mul', [momentum, factor])]);
  const [inputs, columns] = spec.shape as readonly [number, number];
  const blocks = spec.columnBlocks ?? 1;
  const outputs = columns / blocks;
  const pieces = blocks === 1 ? [ahead] : g.many('Split', [ahead], { axis: 1, sizes: Array(blocks).fill(outputs) });
  const orthogonal = pieces.map((piece) => orthogonalize(g, piece));
  const joined = blocks === 1 ? orthogonal[0]! : g.one('Concat', orthogonal, { axis: 1 });
  const scale = Math.sqrt(Math.max(1, outputs / inputs));
  const update = g.one('Mul', [joined, g.one('Mul', [rate, g.scalar(scale)])]);
  return { parameter: g.one('Sub', [decayed(g, parameter, rate, weightDecay), update]), moments: [momentum] };
}

/** Coefficients and number of steps of the quintic iteration, from the same source. */
const [QUINTIC_A, QUINTIC_B, QUINTIC_C] = [3.4445, -4.775, 2.0315] as const;
const NEWTON_SCHULZ_STEPS = 5;

/** Newton–Schulz: X ← aX + (bA + cA²)X with A = XXᵀ drives all singular values of X towards 1. */
function orthogonalize(g: Builder, matrix: Value): Value {
  const [rows, columns] = matrix.shape as readonly [number, number];
  const wide = rows <= columns;
  const count = rows * columns;
  const row = g.one('Reshape', [matrix], { shape: [1, count] });
  const squared = g.one('Gemm', [row, row], { transB: 1 });
  const norm = g.one('Add', [g.one('Sqrt', [squared]), g.scalar(1e-7)]);
  let x = g.one('Div', [matrix, norm]);
  for (let i = 0; i < NEWTON_SCHULZ_STEPS; i++) {
    // The Gram matrix of the shorter side, from the left where X is wide and from the right where it is tall.
    const gram = wide ? g.one('Gemm', [x, x], { transB: 1 }) : g.one('Gemm', [x, x], { transA: 1 });
    const polynomial = g.one('Gemm', [gram, gram, gram], { alpha: QUINTIC_C, beta: QUINTIC_B });
    const [left, right] = wide ? [polynomial, x] : [x, polynomial];
    x = g.one('Gemm', [left, right, x], { alpha: 1, beta: QUINTIC_A });
  }
  return x;
}

/** β · old + (1 − β) · fresh */
function lerp(g: Builder, old: Value, fresh: Value, beta: number): Value {
  return g.one('Add', [g.one('Mul', [old, g.scalar(beta)]), g.one('Mul', [fresh, g.scalar(1 - beta)])]);
}

/** θ (1 − rate · decay) */
function decayed(g: Builder, parameter: Value, rate: Value, decay: number): Value {
  if (decay === 0) return parameter;
  const kept = g.one('Sub', [g.scalar(1), g.one('Mul', [rate, g.scalar(decay)])]);
  return g.one('Mul', [parameter, kept]);
}
