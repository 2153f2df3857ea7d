import { HelioError } from '../../errors.ts';
import type { Builder, Shape, Value } from './ir.ts';

export const sizeOf = (shape: Shape): number => shape.reduce((product, d) => product * d, 1);

/** 0, 1, 2 … */
export const wholeNumbers = (count: number): BigInt64Array =>
  BigInt64Array.from({ length: count }, (_, i) => BigInt(i));

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

export const show = (shape: Shape): string => `[${shape.join(', ')}]`;

/** `length` cut into blocks, the last of which has what is left. */
export const blocksOf = (length: number, block: number): readonly number[] =>
  Array.from({ length: Math.ceil(length / block) }, (_, i) => Math.min(block, length - i * block));

/** A mistake in how a graph was put together: a bug in a model file, told with the shapes that clash. */
export const misfit = (op: string, detail: string): HelioError =>
  new HelioError('HELIO-2001', `${op}: ${detail}.`, 'The model that builds this graph has to be mended.');

/** NumPy's broadcasting rule for two shapes. */
export function broadcast(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[i - rank + a.length] ?? 1;
    const db = b[i - rank + b.length] ?? 1;
    if (da !== db && da !== 1 && db !== 1) throw misfit(op, `shapes ${show(a)} and ${show(b)} do not broadcast`);
    return Math.max(da, db);
  });
}

/** Undoes broadcasting in a gradient: sums `value` down to `shape`. */
export function sumTo(g: Builder, value: Value, shape: Shape): Value {
  if (sameShape(value.shape, shape)) return value;
  if (value.shape.length === 2 && shape.length === 1) return columnSums(g, value);
  const lead = value.shape.length - shape.length;
  const axes = value.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  const summed = g.one('ReduceSum', [value], { axes, keepDims: 1 });
  return sameShape(summed.shape, shape) ? summed : g.one('Reshape', [summed], { shape });
}

/** Sums a matrix over its rows as a product with ones, which is several times faster than a reduction over axis 0. */
export function columnSums(g: Builder, matrix: Value): Value {
  const [rows, columns] = matrix.shape as readonly [number, number];
  const ones = g.shared(`ones ${rows}`, () => g.constant(new Float32Array(rows).fill(1), [1, rows]));
  return g.one('Reshape', [g.one('Gemm', [ones, matrix])], { shape: [columns] });
}

export function permute(shape: Shape, permutation: readonly number[]): Shape {
  return permutation.map((axis) => shape[axis]!);
}

export function swapLastTwo(rank: number): number[] {
  const permutation = Array.from({ length: rank }, (_, i) => i);
  permutation[rank - 1] = rank - 2;
  permutation[rank - 2] = rank - 1;
  return permutation;
}
