import { float, int, type Operator, type Shape } from '../ir.ts';
import { broadcast, misfit, show, sumTo, swapLastTwo } from '../shape.ts';

const matrix = (op: string, shape: Shape, transposed: boolean): readonly [number, number] => {
  const [rows, columns, ...rest] = shape;
  if (rows === undefined || columns === undefined || rest.length > 0) {
    throw misfit(op, `needs a matrix, got ${show(shape)}`);
  }
  return transposed ? [columns, rows] : [rows, columns];
};

/**
 * Y = alpha · op(A) · op(B) + beta · C on matrices, op being the transpose where `transA`, `transB` say so.
 * Written as one kernel, so that neither the gradient nor Newton–Schulz ever transposes in memory.
 */
const Gemm: Operator = {
  infer([a, b, c], { transA = 0, transB = 0 }) {
    const [m, k] = matrix('Gemm', a!.shape, transA === 1);
    const [k2, n] = matrix('Gemm', b!.shape, transB === 1);
    if (k !== k2) throw misfit('Gemm', `inner sizes ${k} and ${k2} differ for ${show(a!.shape)} · ${show(b!.shape)}`);
    if (c !== undefined) broadcast('Gemm', c.shape, [m, n]);
    return [{ dtype: a!.dtype, shape: [m, n] }];
  },
  emit: ({ attributes: { transA = 0, transB = 0, alpha = 1, beta = 1 } }) => ({
    opType: 'Gemm',
    attributes: {
      transA: int(Number(transA)),
      transB: int(Number(transB)),
      alpha: float(Number(alpha)),
      beta: float(Number(beta)),
    },
  }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [a, b, c] = node.inputs;
    const { transA = 0, transB = 0, alpha = 1, beta = 1 } = node.attributes;
    const da =
      transA === 1
        ? g.one('Gemm', [b!, dy], { transA: Number(transB), transB: 1, alpha })
        : g.one('Gemm', [dy, b!], { transA: 0, transB: 1 - Number(transB), alpha });
    const db =
      transB === 1
        ? g.one('Gemm', [dy, a!], { transA: 1, transB: Number(transA), alpha })
        : g.one('Gemm', [a!, dy], { transA: 1 - Number(transA), transB: 0, alpha });
    if (c === undefined) return [da, db];
    const dc = sumTo(g, dy, c.shape);
    return [da, db, beta === 1 ? dc : g.one('Mul', [dc, g.scalar(Number(beta))])];
  },
};

/** Batched matrix product over the last two axes; leading axes broadcast. */
const MatMul: Operator = {
  infer([a, b]) {
    const [m, k] = a!.shape.slice(-2);
    const [k2, n] = b!.shape.slice(-2);
    if (m === undefined || n === undefined || k !== k2) {
      throw misfit('MatMul', `${show(a!.shape)} · ${show(b!.shape)} do not multiply`);
    }
    return [{ dtype: a!.dtype, shape: [...broadcast('MatMul', a!.shape.slice(0, -2), b!.shape.slice(0, -2)), m, n] }];
  },
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [a, b] = node.inputs;
    const transposed = (x: typeof a) => g.one('Transpose', [x!], { permutation: swapLastTwo(x!.shape.length) });
    return [
      sumTo(g, g.one('MatMul', [dy, transposed(b)]), a!.shape),
      sumTo(g, g.one('MatMul', [transposed(a), dy]), b!.shape),
    ];
  },
};

export const linear: Readonly<Record<string, Operator>> = { Gemm, MatMul };
