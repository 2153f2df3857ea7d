import { castTo } from '../autocast.ts';
import { type Builder, int, type Operator, text, type Value } from '../ir.ts';
import { sizeOf, wholeNumbers } from '../shape.ts';

/** Up to so many rows a product with one-hot vectors is faster than adding row by row, and exact in any order. */
const ONE_HOT_ROWS = 2048;

/**
 * Rows of a table by int64 indices: (table [V, C], indices […]) → […, C].
 * The gradient of a small table is OneHotᵀ · dy, a matrix product; that of a large one adds row by row.
 */
const Gather: Operator = {
  infer: ([table, indices]) => [{ dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] }],
  emit: () => ({ opType: 'Gather', attributes: { axis: int(0) } }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [table, indices] = node.inputs;
    const [rows, width] = table!.shape as readonly [number, number];
    const count = sizeOf(indices!.shape);
    const flat = g.one('Reshape', [dy], { shape: [count, width] });
    if (rows <= ONE_HOT_ROWS) return [g.one('Gemm', [oneHot(g, indices!, rows), flat], { transA: 1 }), undefined];
    const places = g.one('Reshape', [indices!], { shape: [count, 1] });
    const zeros = g.one('Expand', [g.scalar(0)], { shape: [rows, width] });
    return [g.one('AddRows', [zeros, places, castTo(g, flat, 'float32')]), undefined];
  },
};

/** [count, depth] with a single 1 in each row. Made of operators that every provider has. */
function oneHot(g: Builder, indices: Value, depth: number): Value {
  const column = g.one('Reshape', [indices], { shape: [sizeOf(indices.shape), 1] });
  const classes = g.shared(`classes ${depth}`, () => g.constant(wholeNumbers(depth), [1, depth]));
  return castTo(g, g.one('Equal', [column, classes]), 'float32');
}

/** One element of each row: (x [R, C], column indices [R, 1]) → [R, 1]. Only used where its gradient is given. */
const GatherElements: Operator = {
  infer: ([x, indices]) => [{ dtype: x!.dtype, shape: indices!.shape }],
  emit: () => ({ opType: 'GatherElements', attributes: { axis: int(1) } }),
};

/**
 * Adds rows, also several at one place: (data [S, C], int64 places [N, 1], rows [N, C]) → data's shape.
 *
 * ONNX Runtime's ScatterND divides its places among threads of the processor, and loses sums where two threads add at the
 * same place. Its ScatterElements is one loop in the order of the places: the same bits with any number of threads.
 */
const AddRows: Operator = {
  infer: ([data]) => [{ dtype: data!.dtype, shape: data!.shape }],
  emit: ({ inputs }, { atomicScatter }) =>
    atomicScatter
      ? { opType: 'ScatterND', attributes: { reduction: text('add') } }
      : {
          opType: 'ScatterElements',
          attributes: { axis: int(0), reduction: text('add') },
          shaped: [{ input: 1, by: 'Expand', shape: inputs[2]!.shape }],
        },
};

/** Adds to single elements, each at most once: (data, int64 places [N, K] that all differ, updates [N]) → data's shape. */
const AddElements: Operator = {
  infer: ([data]) => [{ dtype: data!.dtype, shape: data!.shape }],
  emit: () => ({ opType: 'ScatterND', attributes: { reduction: text('add') } }),
};

/** Overwrites rows: (data [S, C], int64 places [N, 1] that all differ, rows [N, C]). */
const SetRows: Operator = {
  infer: ([data]) => [{ dtype: data!.dtype, shape: data!.shape }],
  emit: () => ({ opType: 'ScatterND', attributes: {} }),
};

export const indexing: Readonly<Record<string, Operator>> = {
  Gather,
  GatherElements,
  AddRows,
  AddElements,
  SetRows,
};
