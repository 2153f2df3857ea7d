import { int, type Operator } from '../ir.ts';
import { sizeOf } from '../shape.ts';

/**
 * Rows of a table by int64 indices: (table [V, C], indices […]) → […, C].
 * The gradient is OneHotᵀ · dy, a matrix product: deterministic, fast for small vocabularies, and one that
 * every ONNX Runtime provider has (scatter-add is neither on all of them).
 */
const Gather: Operator = {
  infer: ([table, indices]) => [{ dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] }],
  emit: () => ({ opType: 'Gather', attributes: { axis: int(0) } }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [table, indices] = node.inputs;
    const [rows, width] = table!.shape as readonly [number, number];
    const count = sizeOf(indices!.shape);
    const flat = g.one('Reshape', [indices!], { shape: [count] });
    const oneHot = g.one('OneHot', [flat], { depth: rows });
    return [g.one('Gemm', [oneHot, g.one('Reshape', [dy], { shape: [count, width] })], { transA: 1 }), undefined];
  },
};

/** int64 indices […] → float32 […, depth] with a single 1 in each row. */
const OneHot: Operator = {
  infer: ([indices], { depth }) => [{ dtype: 'float32', shape: [...indices!.shape, Number(depth)] }],
};

export const indexing: Readonly<Record<string, Operator>> = { Gather, OneHot };
