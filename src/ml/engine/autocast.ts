import type { Builder, DType, FloatType, Value } from './ir.ts';

/**
 * Mixed precision by operator, as PyTorch's autocast has it (Micikevicius et al., arXiv 1710.03740): products in
 * half precision, everything whose error adds up in float32, and the rest in what its inputs are.
 */

/** Compute in half precision: their kernels accumulate in float32 on hardware that has them. */
const HALF: ReadonlySet<string> = new Set(['Gemm', 'Head', 'MatMul', 'Conv']);
/** Move data without looking at it: they keep the type of their first input. */
const ANY: ReadonlySet<string> = new Set([
  'Cast',
  'Gather',
  'GatherElements',
  'Identity',
  'Reshape',
  'Transpose',
  'Split',
  'Slice',
  'Pad',
  'Expand',
  'Equal',
]);
/** Elementwise: float32 as soon as one input that is no scalar is. */
const MIXED: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Concat', 'Neg', 'Relu', 'Sigmoid']);

/** The inputs of `op`, cast to the types that it computes in. */
export function autocast(g: Builder, op: string, inputs: readonly Value[], half: FloatType): readonly Value[] {
  if (ANY.has(op)) return inputs;
  const target = HALF.has(op) ? half : MIXED.has(op) ? mixedType(inputs, half) : 'float32';
  return inputs.map((input) => (isFloat(input.dtype) ? castTo(g, input, target) : input));
}

function mixedType(inputs: readonly Value[], half: FloatType): FloatType {
  const wide = inputs.some((x) => x.dtype === 'float32' && x.shape.length > 0);
  return wide || inputs.every((x) => x.dtype === 'float32') ? 'float32' : half;
}

export const isFloat = (dtype: DType): dtype is FloatType =>
  dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16';

const TYPE_CODE: Readonly<Record<DType, number>> = { float32: 1, int64: 7, bool: 9, float16: 10, bfloat16: 16 };

/** `value` as `dtype`, without a node where it is that already. */
export function castTo(g: Builder, value: Value, dtype: DType): Value {
  return value.dtype === dtype ? value : g.one('Cast', [value], { to: TYPE_CODE[dtype] });
}

/** ONNX's number for a type, and back (onnx.proto, TensorProto.DataType). */
export const typeCodeOf = (dtype: DType): number => TYPE_CODE[dtype];
export const typeOfCode = (code: number): DType =>
  (Object.keys(TYPE_CODE) as DType[]).find((dtype) => TYPE_CODE[dtype] === code)!;
