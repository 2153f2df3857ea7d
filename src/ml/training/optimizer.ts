import { Graph } from '../engine/graph.ts';
import type { Builder, Shape, Value } from '../engine/ir.ts';
import type { ParameterSpec, Role } from '../tensor/parameters.ts';

/** The inner optimizer's settings. Rates are those at the top of the schedule. */
export type InnerOptimizer =
  | ({ readonly kind: 'adamw' } & AdamSettings & Common)
  | ({
      readonly kind: 'muon';
      readonly momentum: number;
      /** AdamW's rate, for all parameters but the matrices inside the model, which have `rate`. */
      readonly adamRate: number;
      /** Steps of the iteration that orthogonalizes an update; 3 when left out. */
      readonly newtonSchulzSteps?: number;
    } & AdamSettings &
      Common)
  | ({ readonly kind: 'sgd'; readonly momentum: number; readonly nesterov: boolean } & Common);

interface Common {
  readonly rate: number;
  /**
   * μ of FedProx (Li et al., arXiv 1812.06127, section 3.2): the gradient, after clipping, of μ/2 ‖θ − anchor‖² is added, where
   * the anchor are the parameters last written from outside. 0 when left out.
   */
  readonly proximal?: number;
  /**
   * Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101): one number exempts vectors (biases and norms), or
   * one for each group.
   */
  readonly weightDecay: number | Readonly<Partial<Record<Role, number>>>;
}

interface AdamSettings {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
}

export type Rule = 'adamw' | 'muon' | 'sgd';

export const ruleOf = (optimizer: InnerOptimizer, spec: ParameterSpec): Rule =>
  optimizer.kind === 'muon' ? (spec.role === 'matrix' ? 'muon' : 'adamw') : optimizer.kind;

export function decayOf({ weightDecay }: InnerOptimizer, { role }: ParameterSpec): number {
  if (typeof weightDecay === 'number') return role === 'vector' ? 0 : weightDecay;
  return weightDecay[role] ?? 0;
}

/** Moments that a rule keeps, each of the parameter's shape. */
export const MOMENTS: Readonly<Record<Rule, readonly string[]>> = {
  adamw: ['mean', 'square'],
  muon: ['momentum'],
  sgd: ['momentum'],
};

/**
 * The scalars that a rule's graph is fed in one step.
 *
 * @param factor on the schedule's top rate @param gradientFactor clipping, and what undoes a loss scale
 * @param age updates so far, this one included
 */
export function updateScalars(
  optimizer: InnerOptimizer,
  rule: Rule,
  decay: number,
  factor: number,
  gradientFactor: number,
  age: number,
): Readonly<Record<string, number>> {
  if (rule === 'adamw' && optimizer.kind !== 'sgd') {
    const [beta1, beta2] = optimizer.betas;
    // Never quite zero: the update divides by it.
    const rate = Math.max(1e-30, factor * (optimizer.kind === 'muon' ? optimizer.adamRate : optimizer.rate));
    const perRate = (1 - beta1 ** age) / rate;
    const pulled = (optimizer.proximal ?? 0) > 0;
    const own = pulled ? 1 : gradientFactor;
    return {
      ...(pulled ? { gradientFactor } : {}),
      fresh1: (1 - beta1) * own,
      fresh2: (1 - beta2) * own ** 2,
      root: perRate / Math.sqrt(1 - beta2 ** age),
      floor: optimizer.epsilon * perRate,
      keep: 1 - rate * decay,
    };
  }
  const rate = factor * optimizer.rate;
  return { gradientFactor, rate, keep: 1 - rate * decay };
}

/**
 * One update as a graph. Inputs: `parameter`, `gradient` and the rule's moments, all of `shape`, and the scalars of
 * {@link updateScalars}. Outputs: `next:parameter` and `next:` moments; each may be written where its input lies.
 *
 * @param shape any for AdamW and SGD, which work by element; [rows, columns] or [matrices, rows, columns] for Muon
 */
export function updateGraph(optimizer: InnerOptimizer, rule: Rule, shape: Shape, spec: ParameterSpec): Graph {
  const g = new Graph();
  const input = (name: string): Value => g.input(name, 'float32', shape);
  const scalar = (name: string): Value => g.input(name, 'float32', []);
  const product = (a: Value, b: Value): Value => g.one('Mul', [a, b]);
  const sum = (a: Value, b: Value): Value => g.one('Add', [a, b]);
  const parameter = input('parameter');
  const pulled = pulledGradient(g, optimizer, input, parameter, scalar);
  const gradient = pulled ?? input('gradient');
  if (rule === 'adamw' && optimizer.kind !== 'sgd') {
    const [beta1, beta2] = optimizer.betas;
    const mean = sum(product(input('mean'), g.scalar(beta1)), product(gradient, scalar('fresh1')));
    const fresh = product(product(gradient, gradient), scalar('fresh2'));
    const square = sum(product(input('square'), g.scalar(beta2)), fresh);
    // rate · c₁m / (√(c₂v) + ε) with all scalars brought into the denominator, so that each number of the parameter is
    // touched as few times as possible.
    const denominator = sum(product(g.one('Sqrt', [square]), scalar('root')), scalar('floor'));
    g.output('next:parameter', g.one('Sub', [product(parameter, scalar('keep')), g.one('Div', [mean, denominator])]));
    g.output('next:mean', mean);
    g.output('next:square', square);
    return g;
  }
  const momentum = optimizer.kind === 'adamw' ? 0 : optimizer.momentum;
  const scaled = pulled ?? product(gradient, scalar('gradientFactor'));
  const buffer = sum(product(input('momentum'), g.scalar(momentum)), scaled);
  const nesterov = optimizer.kind !== 'sgd' || optimizer.nesterov;
  const ahead = nesterov ? sum(scaled, product(buffer, g.scalar(momentum))) : buffer;
  const { newtonSchulzSteps: steps = NEWTON_SCHULZ_STEPS } = optimizer.kind === 'muon' ? optimizer : {};
  const direction = rule === 'muon' ? orthogonalUpdate(g, ahead, spec, steps) : ahead;
  g.output('next:parameter', g.one('Sub', [product(parameter, scalar('keep')), product(direction, scalar('rate'))]));
  g.output('next:momentum', buffer);
  return g;
}

/** With a proximal term: the clipped gradient and the pull towards the anchor together. */
function pulledGradient(
  g: Builder,
  { proximal = 0 }: InnerOptimizer,
  input: (name: string) => Value,
  parameter: Value,
  scalar: (name: string) => Value,
): Value | undefined {
  if (proximal === 0) return undefined;
  const clipped = g.one('Mul', [input('gradient'), scalar('gradientFactor')]);
  return g.one('Add', [clipped, g.one('Mul', [g.one('Sub', [parameter, input('anchor')]), g.scalar(proximal)])]);
}

/**
 * Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): the nearest semi-orthogonal matrix of the update,
 * scaled by √max(1, out / in). All matrices of a shape are worked on together.
 */
function orthogonalUpdate(g: Builder, updates: Value, spec: ParameterSpec, steps: number): Value {
  const { shape } = updates;
  const [rows, columns] = shape.slice(-2) as [number, number];
  const count = shape.length === 3 ? shape[0]! : 1;
  const blocks = spec.columnBlocks ?? 1;
  const width = columns / blocks;
  const scale = Math.sqrt(Math.max(1, spec.layout === 'out-in' ? rows / columns : width / rows));
  const scaled = (matrices: Value): Value => (scale === 1 ? matrices : g.one('Mul', [matrices, g.scalar(scale)]));
  const reshaped = (x: Value, to: Shape): Value => g.one('Reshape', [x], { shape: to });
  if (blocks === 1) return reshaped(scaled(orthogonalize(g, reshaped(updates, [count, rows, columns]), steps)), shape);
  const apart = g.one('Transpose', [reshaped(updates, [count, rows, blocks, width])], { permutation: [0, 2, 1, 3] });
  const each = scaled(orthogonalize(g, reshaped(apart, [count * blocks, rows, width]), steps));
  const together = g.one('Transpose', [reshaped(each, [count, blocks, rows, width])], { permutation: [0, 2, 1, 3] });
  return reshaped(together, shape);
}

/** Coefficients of the quintic iteration, from the same source. */
const [QUINTIC_A, QUINTIC_B, QUINTIC_C] = [3.4445, -4.775, 2.0315] as const;
/** The source has five; what three cost and save is in docs/decisions/0008-muon-steps.md. */
const NEWTON_SCHULZ_STEPS = 3;

/** Newton–Schulz: X ← (aI + bA + cA²) X with A = XXᵀ drives all singular values of X towards 1. */
function orthogonalize(g: Builder, matrices: Value, steps: number): Value {
  const [count, rows, columns] = matrices.shape as readonly [number, number, number];
  const side = Math.min(rows, columns);
  const flat = g.one('Reshape', [matrices], { shape: [count, rows * columns] });
  const squares = g.one('ReduceSumSquare', [flat], { axes: [1], keepDims: 1 });
  const norm = g.one('Add', [g.one('Sqrt', [squares]), g.scalar(1e-7)]);
  const identity = new Float32Array(side * side);
  for (let i = 0; i < side; i++) identity[i * side + i] = QUINTIC_A;
  const diagonal = g.constant(identity, [side, side]);
  let x = g.one('Div', [matrices, g.one('Reshape', [norm], { shape: [count, 1, 1] })]);
  for (let i = 0; i < steps; i++) {
    // The Gram matrix of the shorter side, from the left where X is wide and from the right where it is tall.
    const gram = g.one('MatMul', [x, x], rows <= columns ? { transB: 1 } : { transA: 1 });
    const square = g.one('Mul', [g.one('MatMul', [gram, gram]), g.scalar(QUINTIC_C)]);
    const polynomial = g.one('Add', [g.one('Add', [g.one('Mul', [gram, g.scalar(QUINTIC_B)]), square]), diagonal]);
    x = rows <= columns ? g.one('MatMul', [polynomial, x]) : g.one('MatMul', [x, polynomial]);
  }
  return x;
}
