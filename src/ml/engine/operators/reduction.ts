import { castTo } from '../autocast.ts';
import { type Builder, int, type Node, type OnnxForm, type Operator, type Shape, type Value } from '../ir.ts';
import { sameShape } from '../shape.ts';

const list = (attribute: unknown): readonly number[] => attribute as readonly number[];

const kept = (shape: Shape, axes: readonly number[]): Shape => shape.map((d, i) => (axes.includes(i) ? 1 : d));

/** Sum over `axes`; `keepDims` 1 leaves them as size 1. */
const ReduceSum: Operator = {
  infer([x], { axes, keepDims }) {
    const shape = keepDims === 1 ? kept(x!.shape, list(axes)) : x!.shape.filter((_, i) => !list(axes).includes(i));
    return [{ dtype: x!.dtype, shape }];
  },
  emit: (node) => emitReduction('ReduceSum', node),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    return [g.one('Expand', [column(g, node, dy)], { shape: node.inputs[0]!.shape })];
  },
};

/** Σ x² over `axes`. */
const ReduceSumSquare: Operator = {
  infer: ReduceSum.infer,
  emit: (node) => emitReduction('ReduceSumSquare', node),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const twice = g.one('Mul', [node.inputs[0]!, g.scalar(2)]);
    return [g.one('Mul', [twice, column(g, node, dy)])];
  },
};

/** Largest over `axes`. Equal ones share the gradient whole: give it to a maximum of which only one counts. */
const ReduceMax: Operator = {
  infer: ReduceSum.infer,
  emit: (node) => emitReduction('ReduceMax', node),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [x] = node.inputs;
    const chosen = castTo(g, g.one('Equal', [x!, column(g, node, node.outputs[0]!)]), 'float32');
    return [g.one('Mul', [chosen, column(g, node, dy)])];
  },
};

const emitReduction = (opType: string, { attributes }: Node): OnnxForm => ({
  opType,
  attributes: { keepdims: int(Number(attributes.keepDims)) },
  extraInputs: [list(attributes.axes)],
});

/** The gradient of a reduction's output with the reduced axes back as size 1. */
function column(g: Builder, node: Node, dy: Value): Value {
  const shape = kept(node.inputs[0]!.shape, list(node.attributes.axes));
  return sameShape(dy.shape, shape) ? dy : g.one('Reshape', [dy], { shape });
}

/** Repeats axes of size 1 up to `shape`. */
const Expand: Operator = {
  infer: ([x], { shape }) => [{ dtype: x!.dtype, shape: list(shape) }],
  emit: ({ attributes }) => ({ opType: 'Expand', attributes: {}, extraInputs: [list(attributes.shape)] }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const x = node.inputs[0]!;
    const axes = x.shape.flatMap((d, i) => (d === 1 && dy.shape[i] !== 1 ? [i] : []));
    return [g.one('ReduceSum', [dy], { axes, keepDims: 1 })];
  },
};

export const reduction: Readonly<Record<string, Operator>> = { ReduceSum, ReduceSumSquare, ReduceMax, Expand };
