import { int, ints, type Operator } from '../ir.ts';
import { misfit, permute, show, sizeOf } from '../shape.ts';

const list = (attribute: unknown): readonly number[] => attribute as readonly number[];

const Reshape: Operator = {
  infer([x], { shape }) {
    if (sizeOf(x!.shape) !== sizeOf(list(shape))) {
      throw misfit('Reshape', `${show(x!.shape)} cannot become ${show(list(shape))}`);
    }
    return [{ dtype: x!.dtype, shape: list(shape) }];
  },
  emit: ({ attributes }) => ({ opType: 'Reshape', attributes: {}, extraInputs: [list(attributes.shape)] }),
  gradient: (g, node, [dy]) => (dy === undefined ? [] : [g.one('Reshape', [dy], { shape: node.inputs[0]!.shape })]),
};

const Transpose: Operator = {
  infer: ([x], { permutation }) => [{ dtype: x!.dtype, shape: permute(x!.shape, list(permutation)) }],
  emit: ({ attributes }) => ({ opType: 'Transpose', attributes: { perm: ints(list(attributes.permutation)) } }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const permutation = list(node.attributes.permutation);
    const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
    return [g.one('Transpose', [dy], { permutation: inverse })];
  },
};

/** Cuts `axis` into pieces of the given `sizes`. */
const Split: Operator = {
  infer([x], { axis, sizes }) {
    const along = Number(axis);
    if (x!.shape[along] !== list(sizes).reduce((sum, s) => sum + s, 0)) {
      throw misfit('Split', `${show(x!.shape)} has not the sizes ${show(list(sizes))} on axis ${along}`);
    }
    return list(sizes).map((size) => ({ dtype: x!.dtype, shape: x!.shape.with(along, size) }));
  },
  emit: ({ attributes }) => ({
    opType: 'Split',
    attributes: { axis: int(Number(attributes.axis)) },
    extraInputs: [list(attributes.sizes)],
  }),
  gradient(g, node, dOutputs) {
    const pieces = node.outputs.map((y, i) => dOutputs[i] ?? g.constant(new Float32Array(sizeOf(y.shape)), y.shape));
    return [g.one('Concat', pieces, { axis: Number(node.attributes.axis) })];
  },
};

const Concat: Operator = {
  infer(inputs, { axis }) {
    const along = Number(axis);
    const total = inputs.reduce((sum, x) => sum + x.shape[along]!, 0);
    return [{ dtype: inputs[0]!.dtype, shape: inputs[0]!.shape.with(along, total) }];
  },
  emit: ({ attributes }) => ({ opType: 'Concat', attributes: { axis: int(Number(attributes.axis)) } }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const axis = Number(node.attributes.axis);
    return g.many('Split', [dy], { axis, sizes: node.inputs.map((x) => x.shape[axis]!) });
  },
};

/** The part from `starts` to `ends` (exclusive) on each of `axes`. */
const Slice: Operator = {
  infer([x], { axes, starts, ends }) {
    const shape = [...x!.shape];
    list(axes).forEach((axis, i) => {
      shape[axis] = list(ends)[i]! - list(starts)[i]!;
    });
    if (shape.some((d, i) => d < 1 || d > x!.shape[i]!)) throw misfit('Slice', `${show(x!.shape)} has no such part`);
    return [{ dtype: x!.dtype, shape }];
  },
  emit: ({ attributes: { starts, ends, axes } }) => ({
    opType: 'Slice',
    attributes: {},
    extraInputs: [list(starts), list(ends), list(axes)],
  }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const { shape } = node.inputs[0]!;
    const begin = Array<number>(shape.length).fill(0);
    const end = Array<number>(shape.length).fill(0);
    list(node.attributes.axes).forEach((axis, i) => {
      begin[axis] = list(node.attributes.starts)[i]!;
      end[axis] = shape[axis]! - list(node.attributes.ends)[i]!;
    });
    return [g.one('Pad', [dy], { begin, end })];
  },
};

/** Zeros around: `begin` and `end` elements more on each axis. */
const Pad: Operator = {
  infer: ([x], { begin, end }) => [
    { dtype: x!.dtype, shape: x!.shape.map((d, i) => d + list(begin)[i]! + list(end)[i]!) },
  ],
  emit: ({ attributes: { begin, end } }) => ({
    opType: 'Pad',
    attributes: {},
    extraInputs: [[...list(begin), ...list(end)]],
  }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const { shape } = node.inputs[0]!;
    const starts = list(node.attributes.begin);
    return [g.one('Slice', [dy], { axes: shape.map((_, i) => i), starts, ends: shape.map((d, i) => starts[i]! + d) })];
  },
};

/** Moves and cuts of data; no arithmetic. */
export const layout: Readonly<Record<string, Operator>> = { Reshape, Transpose, Split, Concat, Slice, Pad };
