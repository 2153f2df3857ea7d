import type { Builder, Value } from './ir.ts';

/** Functions that models share, composed of the table's operators. Rows are tokens: x is [rows, width]. */

/** x · W + b with W [in, out] and b [out]. */
export function linear(g: Builder, x: Value, weight: Value, bias: Value): Value {
  return g.one('Gemm', [x, weight, bias]);
}

export function layerNorm(g: Builder, x: Value, scale: Value, bias: Value, epsilon: number): Value {
  return g.many('LayerNormalization', [x, scale, bias], { epsilon })[0]!;
}

/**
 * The tanh form of GELU that GPT-2 uses (Hendrycks and Gimpel, arXiv 1606.08415, section 2), written as x · σ(z) with
 * z = 2√(2/π) (x + 0.044715 x³) = x · r. Its derivative σ + y (1 − σ) (3r − 2k) reuses what is there already.
 */
export function gelu(g: Builder, x: Value): Value {
  const k = 2 * Math.sqrt(2 / Math.PI);
  const square = g.one('Mul', [x, x]);
  const r = g.one('Add', [g.one('Mul', [square, g.scalar(k * 0.044715)]), g.scalar(k)]);
  const sigmoid = g.one('Sigmoid', [g.one('Mul', [x, r])]);
  const y = g.one('Mul', [x, sigmoid]);
  return g.withGradient(y, [x], (dy) => {
    const slope = g.one('Sub', [g.one('Mul', [r, g.scalar(3)]), g.scalar(2 * k)]);
    const bend = g.one('Mul', [g.one('Sub', [y, g.one('Mul', [y, sigmoid])]), slope]);
    return [g.one('Mul', [dy, g.one('Add', [sigmoid, bend])])];
  });
}

/** Rows of queries that are taken together; keys that all of them are blind to are left out. */
const ATTENTION_BLOCK = 64;

/**
 * Causal attention softmax(q · kᵀ + mask) · v. Queries are taken in blocks, each with the keys up to its own end, so
 * that most of the masked half is never computed.
 *
 * @param q [batch, heads, sequence, head width], scaled
 * @param kTransposed [batch, heads, head width, sequence]
 * @param v [batch, heads, sequence, head width]
 * @param block queries in a block; a sequence that it does not divide is one block
 */
export function attention(g: Builder, q: Value, kTransposed: Value, v: Value, block = ATTENTION_BLOCK): Value {
  const sequence = q.shape[2]!;
  const blocks = sequence % block === 0 ? sequence / block : 1;
  if (blocks === 1) return attentionBlock(g, q, kTransposed, v);
  const sizes = Array<number>(blocks).fill(block);
  const queries = g.many('Split', [q], { axis: 2, sizes });
  const keys = g.many('Split', [kTransposed], { axis: 3, sizes });
  const values = g.many('Split', [v], { axis: 2, sizes });
  const seen = (parts: readonly Value[], last: number, axis: number): Value =>
    last === 0 ? parts[0]! : g.one('Concat', parts.slice(0, last + 1), { axis });
  const outputs = queries.map((query, i) => attentionBlock(g, query, seen(keys, i, 3), seen(values, i, 2)));
  return g.one('Concat', outputs, { axis: 2 });
}

/**
 * Attention of queries that stand at the end of the keys. In the backward pass Σ dP · P of each row is Σ dO · O
 * (FlashAttention, Dao et al., arXiv 2205.14135, section 3.1): a sum over the head's width and not over the sequence.
 */
function attentionBlock(g: Builder, q: Value, kTransposed: Value, v: Value): Value {
  const mask = causalMask(g, q.shape[2]!, kTransposed.shape[3]!);
  const p = g.one('Softmax', [g.one('Add', [g.one('MatMul', [q, kTransposed]), mask])]);
  const output = g.one('MatMul', [p, v]);
  const swapped = (x: Value): Value => g.one('Transpose', [x], { permutation: [0, 1, 3, 2] });
  return g.withGradient(output, [q, kTransposed, v], (dOutput) => {
    const dP = g.one('MatMul', [dOutput, swapped(v)]);
    const rowSum = g.one('ReduceSum', [g.one('Mul', [dOutput, output])], { axes: [3], keepDims: 1 });
    const dScores = g.one('Mul', [p, g.one('Sub', [dP, rowSum])]);
    return [
      g.one('MatMul', [dScores, swapped(kTransposed)]),
      g.one('MatMul', [swapped(q), dScores]),
      swapped(g.one('MatMul', [swapped(dOutput), p])),
    ];
  });
}

/** Mean cross-entropy in nats: logits [rows, classes], targets [rows] of int64 → scalar. */
export function crossEntropy(g: Builder, logits: Value, targets: Value): Value {
  const [rows, classes] = logits.shape as readonly [number, number];
  const logProbability = g.one('LogSoftmax', [logits]);
  const chosen = g.one('Mul', [logProbability, g.one('OneHot', [targets], { depth: classes })]);
  return g.one('Mul', [sumAll(g, chosen), g.scalar(-1 / rows)]);
}

/**
 * [queries, keys]: 0 where a token may look, a large negative number where it would see the future. The queries are
 * the last ones of the sequence.
 */
function causalMask(g: Builder, queries: number, keys: number): Value {
  const mask = new Float32Array(queries * keys);
  for (let row = 0; row < queries; row++) mask.fill(-1e9, row * keys + (keys - queries) + row + 1, (row + 1) * keys);
  return g.constant(mask, [queries, keys]);
}

export function sumAll(g: Builder, x: Value): Value {
  return g.one('ReduceSum', [x], { axes: x.shape.map((_, i) => i), keepDims: 0 });
}

/** Σ x², a scalar. */
export function sumOfSquares(g: Builder, x: Value): Value {
  return g.one('ReduceSumSquare', [x], { axes: x.shape.map((_, i) => i), keepDims: 0 });
}
