import { int, type Operator, type Shape } from '../ir.ts';
import { sameShape } from '../shape.ts';

const list = (attribute: unknown): readonly number[] => attribute as readonly number[];

const kept = (shape: Shape, axes: readonly number[]): Shape => shape.map((d, i) => (axes.includes(i) ? 1 : d));

/** Sum over `axes`; `keepDims` 1 leaves them as size 1. */
const ReduceSum: Operator = {
  infer([x], { axes, keepDims }) {
    const shape = keepDims === 1 ? kept(x!.shape, list(axes)) : x!.shape.filter((_, i) => !list(axes).includes(i));
    return [{ dtype: x!.dtype, shape }];
  },
  emit: ({ attributes }) => ({
    opType: 'ReduceSum',
    attributes: { keepdims: int(Number(attributes.keepDims)) },
    extraInputs: [list(attributes.axes)],
  }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const x = node.inputs[0]!;
    const shape = kept(x.shape, list(node.attributes.axes));
    const column = sameShape(dy.shape, shape) ? dy : g.one('Reshape', [dy], { shape });
    return [g.one('Expand', [column], { shape: x.shape })];
  },
};

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

export const reduction: Readonly<Record<string, Operator>> = { ReduceSum, Expand };
