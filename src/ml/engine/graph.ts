import { autocast } from './autocast.ts';
import type { Attributes, Build, Builder, DType, FloatType, Node, SegmentKind, Shape, Value } from './ir.ts';
import { operatorOf } from './operators/index.ts';
import { misfit, show, sizeOf } from './shape.ts';

export interface Constant {
  readonly value: Value;
  readonly data: Float32Array | BigInt64Array;
}

export interface Output {
  readonly name: string;
  readonly value: Value;
}

export interface GraphOptions {
  /** What matrix products and convolutions compute in; sums, normalizations and losses stay in float32. */
  readonly precision?: FloatType;
  /** How {@link Builder.segment} builds; plainly when left out. */
  readonly segment?: (graph: Graph, kind: SegmentKind, inputs: readonly Value[], build: Build) => Value;
}

/** A program under construction: inputs and constants, nodes in an order in which they can run, outputs. */
export class Graph implements Builder {
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: Output[] = [];
  readonly constants: Constant[] = [];
  readonly #precision: FloatType;
  readonly #segment: NonNullable<GraphOptions['segment']>;
  #count = 0;
  readonly #shared = new Map<string, Value>();

  constructor({ precision = 'float32', segment = (_graph, _kind, inputs, build) => build(inputs) }: GraphOptions = {}) {
    this.#precision = precision;
    this.#segment = segment;
  }

  /** Declares what is fed from outside under `name`. */
  input(name: string, dtype: DType, shape: Shape): Value {
    if (this.inputs.some((i) => i.name === name)) throw misfit('input', `the name ${name} is taken`);
    const value: Value = { name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** Gives `value` back to the caller of the program under `name`. */
  output(name: string, value: Value): void {
    this.outputs.push({ name, value });
  }

  many(op: string, given: readonly Value[], attributes: Attributes = {}): readonly Value[] {
    const inputs = this.#precision === 'float32' ? given : autocast(this, op, given, this.#precision);
    const outputs = operatorOf(op)
      .infer(inputs, attributes)
      .map((output) => ({ ...output, name: `v${this.#count++}` }));
    this.nodes.push({ op, inputs, attributes, outputs });
    return outputs;
  }

  one(op: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    return this.many(op, inputs, attributes)[0]!;
  }

  withGradient(value: Value, inputs: readonly Value[], rule: (dValue: Value) => readonly (Value | undefined)[]): Value {
    const output: Value = { ...value, name: `v${this.#count++}` };
    // The composed value comes last among the inputs and gets no gradient: it stands for how y was computed.
    const gradient: Node['gradient'] = (_g, _node, [dy]) => (dy === undefined ? [] : rule(dy));
    this.nodes.push({ op: 'Identity', inputs: [...inputs, value], attributes: {}, outputs: [output], gradient });
    return output;
  }

  /** The node that computes `value`; undefined for inputs and constants. */
  producer(value: Value): Node | undefined {
    return this.nodes.findLast((node) => node.outputs.includes(value));
  }

  segment(kind: SegmentKind, inputs: readonly Value[], build: Build): Value {
    return this.#segment(this, kind, inputs, build);
  }

  scalar(x: number): Value {
    return this.shared(Object.is(x, -0) ? '-0' : `${x}`, () => this.constant(Float32Array.of(x), []));
  }

  shared(key: string, build: () => Value): Value {
    const value = this.#shared.get(key) ?? build();
    this.#shared.set(key, value);
    return value;
  }

  constant(data: Float32Array | BigInt64Array, shape: Shape): Value {
    if (data.length !== sizeOf(shape)) throw misfit('constant', `${data.length} numbers for shape ${show(shape)}`);
    const dtype = data instanceof Float32Array ? 'float32' : 'int64';
    const value: Value = { name: `c${this.#count++}`, dtype, shape };
    this.constants.push({ value, data });
    return value;
  }
}
