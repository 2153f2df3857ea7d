import { after } from '../functions.ts';
import { float, int, type Node, type Operator, type Shape, type Value } from '../ir.ts';
import { broadcast, misfit, show, sumTo } from '../shape.ts';

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
  emit(node) {
    const { transA = 0, transB = 0, alpha = 1, beta = 1 } = node.attributes;
    const asRow = columnAsRow(node);
    return {
      opType: 'Gemm',
      attributes: {
        transA: int(Number(transA)),
        transB: int(asRow === undefined ? Number(transB) : 1),
        alpha: float(Number(alpha)),
        beta: float(Number(beta)),
      },
      ...(asRow === undefined ? {} : { shaped: [asRow] }),
    };
  },
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

/**
 * The head of a language model, x · Wᵀ with x [rows, width] and W [vocabulary, width]. In the backward pass the gradient of W
 * comes first and that of x waits for it: the logits' gradient, the largest value of all, is then free at once. A loss that
 * finds a head before it may take the rows in blocks (`cross-entropy.ts`).
 */
const Head: Operator = {
  infer: (inputs) => Gemm.infer(inputs, { transB: 1 }),
  emit: () => ({ opType: 'Gemm', attributes: { transB: int(1) } }),
  gradient(g, node, [dy], [, trained]) {
    if (dy === undefined) return [];
    const [x, weight] = node.inputs as readonly [Value, Value];
    const dx = g.one('Gemm', [dy, weight]);
    if (trained !== true) return [dx];
    const dWeight = g.one('Gemm', [dy, x], { transA: 1 });
    return [after(g, dx, [dWeight]), dWeight];
  },
};

/**
 * op(A) · op(B) over the last two axes, op swapping them where `transA`, `transB` say so; leading axes broadcast.
 * Where the runtime has a kernel that reads an operand transposed, nothing is moved in memory.
 */
const MatMul: Operator = {
  infer([a, b], { transA = 0, transB = 0 }) {
    const [m, k] = lastTwo(a!.shape, transA === 1);
    const [k2, n] = lastTwo(b!.shape, transB === 1);
    if (m === undefined || n === undefined || k !== k2) {
      throw misfit('MatMul', `${show(a!.shape)} · ${show(b!.shape)} do not multiply`);
    }
    return [{ dtype: a!.dtype, shape: [...broadcast('MatMul', a!.shape.slice(0, -2), b!.shape.slice(0, -2)), m, n] }];
  },
  emit(node, { fusedMatMul }) {
    const { transA = 0, transB = 0 } = node.attributes;
    const asRow = columnAsRow(node);
    const plain = transA === 0 && transB === 0 && asRow === undefined;
    if (plain || !fusedMatMul || node.inputs[0]!.dtype !== 'float32') {
      const swapped = [transA, transB].flatMap((trans, i) => (trans === 1 ? [i] : []));
      return { opType: 'MatMul', attributes: {}, swapped };
    }
    return {
      opType: 'FusedMatMul',
      domain: 'com.microsoft',
      attributes: { transA: int(Number(transA)), transB: int(asRow === undefined ? Number(transB) : 1) },
      ...(asRow === undefined ? {} : { shaped: [asRow] }),
    };
  },
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [a, b] = node.inputs as readonly [Value, Value];
    const { transA = 0, transB = 0 } = node.attributes;
    const product = (x: Value, y: Value, flags: readonly [number, number]): Value =>
      g.one('MatMul', [x, y], { transA: flags[0], transB: flags[1] });
    const notA = 1 - Number(transA);
    const notB = 1 - Number(transB);
    const da = transA === 1 ? product(b, dy, [Number(transB), 1]) : product(dy, b, [0, notB]);
    const db = transB === 1 ? product(dy, a, [1, Number(transA)]) : product(a, dy, [notA, 0]);
    return [sumTo(g, da, a.shape), sumTo(g, db, b.shape)];
  },
};

/**
 * ONNX Runtime's kernel for A · b with a single column b gives other bits where threads divide A's rows. The column read as
 * a transposed row, which lies in memory as the column does, takes the ordinary kernel, whose bits are always the same.
 */
function columnAsRow({ inputs: [, b], attributes: { transA = 0, transB = 0 } }: Node) {
  const [rows, columns] = lastTwo(b!.shape, false);
  if (columns !== 1 || rows === 1 || transA === 1 || transB === 1) return undefined;
  return { input: 1, by: 'Reshape', shape: [...b!.shape.slice(0, -2), 1, rows!] } as const;
}

const lastTwo = (shape: Shape, swap: boolean): readonly (number | undefined)[] =>
  swap ? shape.slice(-2).reverse() : shape.slice(-2);

export const linear: Readonly<Record<string, Operator>> = { Gemm, Head, MatMul };
