import type { Builder, Value } from './ir.ts';
import { sizeOf } from './shape.ts';

/** Functions that models share, composed of the table's operators. Rows are tokens: x is [rows, width]. */

/** x · W + b with W [in, out] and b [out]. */
export function linear(g: Builder, x: Value, weight: Value, bias: Value): Value {
  return g.one('Gemm', [x, weight, bias]);
}

export function layerNorm(g: Builder, x: Value, scale: Value, bias: Value, epsilon: number): Value {
  return g.many('LayerNormalization', [x, scale, bias], { epsilon })[0]!;
}

/** The tanh form of GELU that GPT-2 uses (Hendrycks and Gimpel, arXiv 1606.08415, section 2). */
export function gelu(g: Builder, x: Value): Value {
  const cubic = g.one('Mul', [g.one('Mul', [x, x]), x]);
  const inner = g.one('Add', [x, g.one('Mul', [cubic, g.scalar(0.044715)])]);
  const tanh = g.one('Tanh', [g.one('Mul', [inner, g.scalar(Math.sqrt(2 / Math.PI))])]);
  return g.one('Mul', [g.one('Mul', [x, g.scalar(0.5)]), g.one('Add', [tanh, g.scalar(1)])]);
}

/** Mean cross-entropy in nats: logits [rows, classes], targets [rows] of int64 → scalar. */
export function crossEntropy(g: Builder, logits: Value, targets: Value): Value {
  const [rows, classes] = logits.shape as readonly [number, number];
  const logProbability = g.one('LogSoftmax', [logits]);
  const chosen = g.one('Mul', [logProbability, g.one('OneHot', [targets], { depth: classes })]);
  return g.one('Mul', [sumAll(g, chosen), g.scalar(-1 / rows)]);
}

/** [sequence, sequence]: 0 where a token may look, a large negative number where it would see the future. */
export function causalMask(g: Builder, sequence: number): Value {
  const mask = new Float32Array(sequence * sequence);
  for (let row = 0; row < sequence; row++) mask.fill(-1e9, row * sequence + row + 1, (row + 1) * sequence);
  return g.constant(mask, [sequence, sequence]);
}

export function sumAll(g: Builder, x: Value): Value {
  return g.one('ReduceSum', [x], { axes: x.shape.map((_, i) => i), keepDims: 0 });
}

/** Σ x², a scalar, as a product of the flattened tensor with itself. */
export function sumOfSquares(g: Builder, x: Value): Value {
  const count = sizeOf(x.shape);
  const row = g.one('Reshape', [x], { shape: [1, count] });
  const column = g.one('Reshape', [x], { shape: [count, 1] });
  return g.one('Reshape', [g.one('MatMul', [row, column])], { shape: [] });
}
