import { castTo } from './autocast.ts';
import type { Builder, Value } from './ir.ts';
import { blocksOf, sizeOf, sumTo } from './shape.ts';

/** Functions that models share, composed of the table's operators. Rows are tokens: x is [rows, width]. */

/** x · W (+ b) with W [in, out] and b [out]. */
export function linear(g: Builder, x: Value, weight: Value, bias?: Value): Value {
  return g.one('Gemm', bias === undefined ? [x, weight] : [x, weight, bias]);
}

/** x · Wᵀ (+ b) with W [out, in], as PyTorch's Linear keeps it. */
export function linearTransposed(g: Builder, x: Value, weight: Value, bias?: Value): Value {
  return g.one('Gemm', bias === undefined ? [x, weight] : [x, weight, bias], { transB: 1 });
}

/** The head of a language model, x · Wᵀ with W [vocabulary, width]. */
export const head = (g: Builder, x: Value, weight: Value): Value => g.one('Head', [x, weight]);

/**
 * `value`, but only to be had once the others are: the runtime orders its work by what needs what. What is added is 0 times
 * their first element, zero for any finite number; a step with another is thrown away.
 */
export function after(g: Builder, value: Value, others: readonly Value[]): Value {
  return others.reduce((waiting, other) => {
    const flat = g.one('Reshape', [other], { shape: [sizeOf(other.shape)] });
    const first = g.one('Slice', [flat], { axes: [0], starts: [0], ends: [1] });
    return g.one('Add', [waiting, g.one('Mul', [first, g.scalar(0)])]);
  }, value);
}

export function layerNorm(g: Builder, x: Value, scale: Value, bias: Value, epsilon: number): Value {
  return g.many('LayerNormalization', [x, scale, bias], { epsilon })[0]!;
}

/** x / √(mean(x²) + ε) · scale over the last axis (Zhang and Sennrich, arXiv 1910.07467). x is [rows, width]. */
export function rmsNorm(g: Builder, given: Value, scale: Value, epsilon: number): Value {
  const x = castTo(g, given, 'float32');
  const width = x.shape.at(-1)!;
  const squares = g.one('ReduceSumSquare', [x], { axes: [1], keepDims: 1 });
  const meanSquare = g.one('Add', [g.one('Mul', [squares, g.scalar(1 / width)]), g.scalar(epsilon)]);
  const inverse = g.one('Reciprocal', [g.one('Sqrt', [meanSquare])]);
  const normalized = g.one('Mul', [x, inverse]);
  const y = g.one('Mul', [normalized, scale]);
  return g.withGradient(y, [given, scale], (dy) => {
    // dx = (u − x̂ · mean(u · x̂)) / rms with u = dy · scale.
    const weighted = g.one('Mul', [dy, normalized]);
    const u = g.one('Mul', [dy, scale]);
    const projection = g.one('ReduceSum', [g.one('Mul', [weighted, scale])], { axes: [1], keepDims: 1 });
    const along = g.one('Mul', [normalized, g.one('Mul', [projection, g.scalar(1 / width)])]);
    return [g.one('Mul', [g.one('Sub', [u, along]), inverse]), sumTo(g, weighted, scale.shape)];
  });
}

/** SwiGLU's gate, silu(a) · b (Shazeer, arXiv 2002.05202). */
export function swiglu(g: Builder, a: Value, b: Value): Value {
  const sigmoid = g.one('Sigmoid', [a]);
  const silu = g.one('Mul', [a, sigmoid]);
  return g.withGradient(g.one('Mul', [silu, b]), [a, b], (dy) => {
    const slope = g.one('Add', [sigmoid, g.one('Sub', [silu, g.one('Mul', [silu, sigmoid])])]);
    return [g.one('Mul', [g.one('Mul', [dy, b]), slope]), g.one('Mul', [dy, silu])];
  });
}

/**
 * Rotary position embedding in the half-split order of Hugging Face's Llama (Su et al., arXiv 2104.09864): the pair
 * (xᵢ, x_{i+w/2}) turns by its position's angle. Its gradient turns back.
 *
 * @param x [batch, sequence, heads, width] @param cos, sin [sequence, 1, width / 2]
 */
export function rotary(g: Builder, x: Value, cos: Value, sin: Value): Value {
  const turn = (v: Value, forwards: boolean): Value => {
    const [a, b] = g.many('Split', [v], { axis: 3, sizes: [v.shape[3]! / 2, v.shape[3]! / 2] });
    const product = (p: Value, q: Value): Value => g.one('Mul', [p, q]);
    const [plus, minus] = forwards ? ['Add', 'Sub'] : ['Sub', 'Add'];
    return g.one(
      'Concat',
      [g.one(minus!, [product(a!, cos), product(b!, sin)]), g.one(plus!, [product(b!, cos), product(a!, sin)])],
      { axis: 3 },
    );
  };
  return g.withGradient(turn(x, true), [x], (dy) => [turn(dy, false)]);
}

/** Group normalization (Wu and He, arXiv 1803.08494) of images [N, C, H, W]; scale and bias are [C]. */
export function groupNorm(g: Builder, x: Value, scale: Value, bias: Value, groups: number, epsilon: number): Value {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  const size = (channels / groups) * height * width;
  const rows = g.one('Reshape', [x], { shape: [batch * groups, size] });
  const plain = (value: number): Value =>
    g.shared(`${size} times ${value}`, () => g.constant(new Float32Array(size).fill(value), [size]));
  const normalized = g.one('Reshape', [layerNorm(g, rows, plain(1), plain(0), epsilon)], { shape: x.shape });
  const byChannel = (v: Value): Value => g.one('Reshape', [v], { shape: [channels, 1, 1] });
  return g.one('Add', [g.one('Mul', [normalized, byChannel(scale)]), byChannel(bias)]);
}

/** Largest of each 2 × 2 square: [N, C, H, W] → [N, C, H/2, W/2], H and W even. Equal ones share the gradient whole. */
export function maxPool2(g: Builder, x: Value): Value {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  const squares = g.one('Reshape', [x], { shape: [batch * channels, height / 2, 2, width / 2, 2] });
  const flat = g.one('ReduceMax', [squares], { axes: [2, 4], keepDims: 0 });
  const pooled = g.one('Reshape', [flat], { shape: [batch, channels, height / 2, width / 2] });
  return g.withGradient(pooled, [x], (dPooled) => {
    const chosen = castTo(g, g.one('Equal', [x, doubled(g, pooled)]), 'float32');
    return [g.one('Mul', [chosen, doubled(g, dPooled)])];
  });
}

/** Each pixel as a 2 × 2 square. Concatenation is several times faster than a broadcast along the inner axes. */
function doubled(g: Builder, x: Value): Value {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  const twice = (v: Value, length: number): Value => {
    const rows = g.one('Reshape', [v], { shape: [sizeOf(v.shape) / length, length] });
    return g.one('Concat', [rows, rows], { axis: 1 });
  };
  return g.one('Reshape', [twice(twice(x, 1), 2 * width)], { shape: [batch, channels, 2 * height, 2 * width] });
}

/** Mean over each image: [N, C, H, W] → [N, C]. */
export function globalAveragePool(g: Builder, x: Value): Value {
  const [, , height, width] = x.shape as readonly [number, number, number, number];
  return g.one('Mul', [g.one('ReduceSum', [x], { axes: [2, 3], keepDims: 0 }), g.scalar(1 / (height * width))]);
}

/** Prime just below 2¹²: products of two residues are whole numbers that float32 holds exactly. */
export const DROPOUT_PRIME = 4093;

/**
 * Dropout (Srivastava et al. 2014) whose mask follows from two short vectors of random residues: an element is kept
 * when (u² + columns) mod m, with u = rows · columns mod m, is below (1 − rate) m. All numbers are whole and below 2²⁴,
 * so that every machine makes the same mask.
 *
 * @param x [rows, width] @param rows [rows, 1] @param columns [1, width], of whole numbers from 0 to m − 1
 */
export function dropout(g: Builder, x: Value, rate: number, rows: Value, columns: Value): Value {
  const m = g.scalar(DROPOUT_PRIME);
  // x − m ⌊(x + ½) / m⌋ is exact: (x + ½) / m is never closer to a whole number than rounding can bridge.
  const modulo = (v: Value): Value =>
    g.one('Sub', [v, g.one('Mul', [g.one('Floor', [g.one('Div', [g.one('Add', [v, g.scalar(0.5)]), m])]), m])]);
  const u = modulo(g.one('Mul', [rows, columns]));
  const residue = modulo(g.one('Add', [g.one('Mul', [u, u]), columns]));
  const kept = castTo(g, g.one('Less', [residue, g.scalar(Math.round((1 - rate) * DROPOUT_PRIME))]), 'float32');
  const mask = g.one('Mul', [kept, g.scalar(1 / (1 - rate))]);
  return g.withGradient(g.one('Mul', [x, mask]), [x], (dy) => [g.one('Mul', [dy, mask])]);
}

/**
 * The tanh form of GELU that GPT-2 uses (Hendrycks and Gimpel, arXiv 1606.08415, section 2). It is x · σ(z) with
 * z = 2√(2/π) (x + 0.044715 x³) = x · r, so that its derivative is σ + y (1 − σ) (3r − 2k). Only x and y are kept for it.
 */
export function gelu(g: Builder, x: Value): Value {
  const y = g.one('Gelu', [x]);
  return g.withGradient(y, [x], (dy) => {
    const k = 2 * Math.sqrt(2 / Math.PI);
    const r = g.one('Add', [g.one('Mul', [g.one('Mul', [x, x]), g.scalar(k * 0.044715)]), g.scalar(k)]);
    const sigmoid = g.one('Sigmoid', [g.one('Mul', [x, r])]);
    const slope = g.one('Sub', [g.one('Mul', [r, g.scalar(3)]), g.scalar(2 * k)]);
    const bend = g.one('Mul', [g.one('Sub', [y, g.one('Mul', [y, sigmoid])]), slope]);
    return [g.one('Mul', [dy, g.one('Add', [sigmoid, bend])])];
  });
}

/** GELU as it is defined, x · Φ(x) with the normal distribution's Φ (arXiv 1606.08415, section 2). */
export function exactGelu(g: Builder, x: Value): Value {
  const error = g.one('Erf', [g.one('Mul', [x, g.scalar(Math.SQRT1_2)])]);
  return g.one('Mul', [x, g.one('Add', [g.one('Mul', [error, g.scalar(0.5)]), g.scalar(0.5)])]);
}

/** Rows of queries that are taken together; keys that all of them are blind to are left out. */
const ATTENTION_BLOCK = 128;

/**
 * Causal attention softmax(q · kᵀ + mask) · v. Queries are taken in blocks, each with the keys up to its own end, so
 * that most of the masked half is never computed.
 *
 * @param q scaled; all are [batch, heads, sequence, head width]
 * @param block queries in a block; the last one has what is left
 */
export function attention(g: Builder, q: Value, k: Value, v: Value, block = ATTENTION_BLOCK): Value {
  const sizes = blocksOf(q.shape[2]!, block);
  if (sizes.length === 1)
    return attentionBlock(g, q, k, v, causalMask(g, q.shape[2]!, k.shape[2]!, block, k.shape[2]!));
  const [queries, keys, values] = [q, k, v].map((x) => g.many('Split', [x], { axis: 2, sizes }));
  const seen = (parts: readonly Value[], last: number): Value =>
    last === 0 ? parts[0]! : g.one('Concat', parts.slice(0, last + 1), { axis: 2 });
  const outputs = queries!.map((query, i) => {
    const key = seen(keys!, i);
    const mask = causalMask(g, query.shape[2]!, key.shape[2]!, block, q.shape[2]!);
    return attentionBlock(g, query, key, seen(values!, i), mask);
  });
  return g.one('Concat', outputs, { axis: 2 });
}

/**
 * ConnectionInbox of queries that stand at the end of the keys. In the backward pass Σ dP · P of each row is Σ dO · O
 * (FlashAttention, Dao et al., arXiv 2205.14135, section 3.1): a sum over the head's width and not over the sequence.
 */
function attentionBlock(g: Builder, q: Value, k: Value, v: Value, mask: Value): Value {
  const p = g.one('Softmax', [g.one('Add', [g.one('MatMul', [q, k], { transB: 1 }), mask])]);
  const output = g.one('MatMul', [p, v]);
  return g.withGradient(output, [q, k, v], (dOutput) => {
    const dP = g.one('MatMul', [dOutput, v], { transB: 1 });
    const rowSum = g.one('ReduceSum', [g.one('Mul', [dOutput, output])], { axes: [3], keepDims: 1 });
    const dScores = g.one('Mul', [p, g.one('Sub', [dP, rowSum])]);
    return [
      g.one('MatMul', [dScores, k]),
      g.one('MatMul', [dScores, q], { transA: 1 }),
      g.one('MatMul', [p, dOutput], { transA: 1 }),
    ];
  });
}

/** Σ wᵢ · mean over the outputs of each row of (yᵢ − tᵢ)². @param outputs [rows, n] @param targets float32 [rows, n] */
export function squaredErrorSum(g: Builder, outputs: Value, targets: Value, weights: Value): Value {
  const difference = g.one('Sub', [outputs, targets]);
  const sum = sumAll(g, g.one('Mul', [g.one('Mul', [difference, difference]), weights]));
  return g.one('Mul', [sum, g.scalar(1 / outputs.shape[1]!)]);
}

/** How many rows have their largest logit at the target, weighted. */
export function correctSum(g: Builder, logits: Value, targets: Value, weights: Value): Value {
  const column = g.one('Reshape', [targets], { shape: [logits.shape[0]!, 1] });
  const highest = g.one('ReduceMax', [logits], { axes: [1], keepDims: 1 });
  const hit = castTo(g, g.one('Equal', [g.one('GatherElements', [logits, column]), highest]), 'float32');
  return sumAll(g, g.one('Mul', [hit, weights]));
}

/**
 * [queries, keys]: 0 where a token may look, a large negative number where it would see the future. The queries are
 * the last ones of the keys. All layers, and all that is computed again, share the masks; those of a sequence's blocks are
 * parts of its last block's, which alone is kept in the file.
 */
function causalMask(g: Builder, queries: number, keys: number, block: number, sequence: number): Value {
  const rows = Math.min(block, sequence);
  const whole = g.shared(`causal ${rows} ${sequence}`, () => {
    const mask = new Float32Array(rows * sequence);
    for (let row = 0; row < rows; row++)
      mask.fill(-1e9, row * sequence + sequence - rows + row + 1, (row + 1) * sequence);
    return g.constant(mask, [rows, sequence]);
  });
  if (queries === rows && keys === sequence) return whole;
  return g.shared(`causal ${queries} ${keys} of ${rows} ${sequence}`, () =>
    g.one('Slice', [whole], { axes: [0, 1], starts: [rows - queries, sequence - keys], ends: [rows, sequence] }),
  );
}

export function sumAll(g: Builder, x: Value): Value {
  return g.one('ReduceSum', [x], { axes: x.shape.map((_, i) => i), keepDims: 0 });
}

/** Σ x², a scalar. */
export function sumOfSquares(g: Builder, x: Value): Value {
  return g.one('ReduceSumSquare', [x], { axes: x.shape.map((_, i) => i), keepDims: 0 });
}
