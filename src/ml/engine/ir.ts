/** The vocabulary of the graph: values, nodes, and what an operator must say about itself. */

export type FloatType = 'float32' | 'float16' | 'bfloat16';
export type DType = FloatType | 'int64' | 'bool';
export type Shape = readonly number[];

/** One tensor in a graph, known by shape and type before anything runs. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

export type Attribute = number | readonly number[];
export type Attributes = Readonly<Record<string, Attribute>>;

export interface Node {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
  /** The gradient of this very node, where a composed function has a better one than its parts. */
  readonly gradient?: GradientRule;
}

/**
 * Gradients of the loss with respect to each input, given those of the outputs (undefined where an output does not
 * reach the loss). Undefined for an input that has none.
 *
 * @param wanted of each input: whether its gradient is of use; any may be given all the same
 */
export type GradientRule = (
  g: Builder,
  node: Node,
  dOutputs: readonly (Value | undefined)[],
  wanted: readonly boolean[],
) => readonly (Value | undefined)[];

/** A layer of a model · the inside of attention, whose scores are many and cheap. */
export type SegmentKind = 'block' | 'attention';
export type Build = (inputs: readonly Value[]) => Value;

/** The side of a graph on which operators' gradients build. */
export interface Builder {
  /** Applies an operator that has one output. */
  one(op: string, inputs: readonly Value[], attributes?: Attributes): Value;
  /** Applies an operator with several outputs. */
  many(op: string, inputs: readonly Value[], attributes?: Attributes): readonly Value[];
  /** A float32 scalar constant; equal numbers share one value. */
  scalar(x: number): Value;
  constant(data: Float32Array | BigInt64Array, shape: Shape): Value;
  /** One value for all who ask under `key`, built of constants when it is first asked for. */
  shared(key: string, build: () => Value): Value;
  /**
   * Gives `value`, composed of `inputs`, a gradient of its own: `rule` maps the gradient of the value to those of
   * the inputs, and what lies between is not differentiated.
   */
  withGradient(value: Value, inputs: readonly Value[], rule: (dValue: Value) => readonly (Value | undefined)[]): Value;
  /**
   * A stretch of the graph from `inputs` on that may be computed a second time in the backward pass instead of keeping
   * its intermediate values in memory (`recompute.ts`).
   */
  segment(kind: SegmentKind, inputs: readonly Value[], build: Build): Value;
}

/** How a node is written in ONNX, where it differs from "same name, same inputs, same attributes". */
export interface OnnxForm {
  readonly opType: string;
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  /** Constant int64 inputs that follow the node's own inputs: axes, shapes. */
  readonly extraInputs?: readonly (readonly number[])[];
  /** Operator set that the operator is from; ONNX's own when left out. */
  readonly domain?: string;
  /** Inputs, by number, whose last two axes change places before they go in. */
  readonly swapped?: readonly number[];
  /** Inputs, by number, that are given another shape before they go in. */
  readonly shaped?: readonly { readonly input: number; readonly by: 'Expand' | 'Reshape'; readonly shape: Shape }[];
}

/** ONNX Runtime's own operators that may be used. Without any, the file is plain ONNX. */
export interface Dialect {
  /** Products that read an operand transposed (FusedMatMul). */
  readonly fusedMatMul: boolean;
  /** GELU in its tanh form as one kernel (FastGelu). */
  readonly fastGelu: boolean;
  /** ScatterND adds one after the other where places repeat, as devices with atomic sums do. The processor's does not. */
  readonly atomicScatter: boolean;
}
export type OnnxAttribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'string'; readonly value: string };

/** One row of the operator table: shape rule, emission and gradient together. */
export interface Operator {
  /** Shapes and types of the outputs; throws when the inputs do not fit. */
  infer(inputs: readonly Value[], attributes: Attributes): readonly Omit<Value, 'name'>[];
  emit?(node: Node, dialect: Dialect): OnnxForm;
  /** Absent: not differentiable. */
  readonly gradient?: GradientRule;
}

export const int = (value: number): OnnxAttribute => ({ kind: 'int', value });
export const float = (value: number): OnnxAttribute => ({ kind: 'float', value });
export const ints = (value: readonly number[]): OnnxAttribute => ({ kind: 'ints', value });
export const text = (value: string): OnnxAttribute => ({ kind: 'string', value });
