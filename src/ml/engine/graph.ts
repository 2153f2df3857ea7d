import type { Attributes, Builder, DType, Node, Shape, Value } from './ir.ts';
import { operatorOf } from './operators/index.ts';
import { misfit, show, sizeOf } from './shape.ts';

export interface Constant {
  readonly value: Value;
  readonly data: Float32Array | BigInt64Array;
}

/** A program under construction: inputs and constants, nodes in an order in which they can run, outputs. */
export class Graph implements Builder {
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly constants: Constant[] = [];
  #count = 0;
  #scalars = new Map<number, Value>();

  /** Declares what is fed from outside under `name`. */
  input(name: string, dtype: DType, shape: Shape): Value {
    if (this.inputs.some((i) => i.name === name)) throw misfit('input', `the name ${name} is taken`);
    const value: Value = { name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** Gives `value` back to the caller of the program under `name`. */
  output(name: string, value: Value): void {
    const named: Value = { name, dtype: value.dtype, shape: value.shape };
    this.nodes.push({ op: 'Identity', inputs: [value], attributes: {}, outputs: [named] });
    this.outputs.push(named);
  }

  many(op: string, inputs: readonly Value[], attributes: Attributes = {}): readonly Value[] {
    const outputs = operatorOf(op)
      .infer(inputs, attributes)
      .map((output) => ({ ...output, name: `v${this.#count++}` }));
    this.nodes.push({ op, inputs, attributes, outputs });
    return outputs;
  }

  one(op: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    return this.many(op, inputs, attributes)[0]!;
  }

  withGradient(value: Value, inputs: readonly Value[], rule: (dValue: Value) => readonly Value[]): Value {
    const output: Value = { ...value, name: `v${this.#count++}` };
    // The composed value comes last among the inputs and gets no gradient: it stands for how y was computed.
    const gradient: Node['gradient'] = (_g, _node, [dy]) => (dy === undefined ? [] : rule(dy));
    this.nodes.push({ op: 'Identity', inputs: [...inputs, value], attributes: {}, outputs: [output], gradient });
    return output;
  }

  scalar(x: number): Value {
    const known = this.#scalars.get(x);
    if (known !== undefined) return known;
    const value = this.constant(Float32Array.of(x), []);
    this.#scalars.set(x, value);
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
