import { castTo, typeOfCode } from '../autocast.ts';
import { type Builder, int, type Operator, text, type Value } from '../ir.ts';
import { broadcast, sumTo } from '../shape.ts';

type Rule = (g: Builder, dy: Value, inputs: readonly Value[], y: Value) => readonly Value[];

function binary(op: string, rule: Rule): Operator {
  return {
    infer: ([a, b]) => [{ dtype: a!.dtype, shape: broadcast(op, a!.shape, b!.shape) }],
    gradient(g, node, [dy]) {
      if (dy === undefined) return [];
      const grads = rule(g, dy, node.inputs, node.outputs[0]!);
      return grads.map((grad, i) => sumTo(g, grad, node.inputs[i]!.shape));
    },
  };
}

function unary(rule?: Rule): Operator {
  const operator: Operator = { infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }] };
  if (rule === undefined) return operator;
  return {
    ...operator,
    gradient: (g, node, [dy]) => (dy === undefined ? [] : rule(g, dy, node.inputs, node.outputs[0]!)),
  };
}

const negative = (g: Builder, x: Value): Value => g.one('Neg', [x]);

/** Arithmetic with broadcasting, and functions of one variable. */
export const elementwise: Readonly<Record<string, Operator>> = {
  Add: binary('Add', (_g, dy) => [dy, dy]),
  Sub: binary('Sub', (g, dy) => [dy, negative(g, dy)]),
  Mul: binary('Mul', (g, dy, [a, b]) => [g.one('Mul', [dy, b!]), g.one('Mul', [dy, a!])]),
  // y = a / b, so ∂y/∂b = −y / b.
  Div: binary('Div', (g, dy, [, b], y) => {
    const da = g.one('Div', [dy, b!]);
    return [da, negative(g, g.one('Mul', [da, y]))];
  }),
  /** Passes its last input on. */
  Identity: { infer: (inputs) => [{ dtype: inputs.at(-1)!.dtype, shape: inputs.at(-1)!.shape }] },
  Cast: {
    infer: ([x], { to }) => [{ dtype: typeOfCode(Number(to)), shape: x!.shape }],
    emit: ({ attributes }) => ({ opType: 'Cast', attributes: { to: int(Number(attributes.to)) } }),
    gradient: (g, node, [dy]) => (dy === undefined ? [] : [castTo(g, dy, node.inputs[0]!.dtype)]),
  },
  Equal: { infer: ([a, b]) => [{ dtype: 'bool', shape: broadcast('Equal', a!.shape, b!.shape) }] },
  Less: { infer: ([a, b]) => [{ dtype: 'bool', shape: broadcast('Less', a!.shape, b!.shape) }] },
  Floor: unary(),
  Neg: unary((g, dy) => [negative(g, dy)]),
  Exp: unary((g, dy, _x, y) => [g.one('Mul', [dy, y])]),
  Log: unary((g, dy, [x]) => [g.one('Div', [dy, x!])]),
  Relu: unary((g, dy, _x, y) => [g.one('Mul', [dy, castTo(g, g.one('Less', [g.scalar(0), y]), 'float32')])]),
  /** GELU in its tanh form; `functions.ts` gives it its gradient. */
  Gelu: {
    infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
    emit: (_, { fastGelu }) =>
      fastGelu
        ? { opType: 'FastGelu', domain: 'com.microsoft', attributes: {} }
        : { opType: 'Gelu', attributes: { approximate: text('tanh') } },
  },
  // erf′(x) = 2/√π · exp(−x²)
  Erf: unary((g, dy, [x]) => {
    const slope = g.one('Mul', [g.one('Exp', [negative(g, g.one('Mul', [x!, x!]))]), g.scalar(2 / Math.sqrt(Math.PI))]);
    return [g.one('Mul', [dy, slope])];
  }),
  Sigmoid: unary((g, dy, _x, y) => [g.one('Mul', [dy, g.one('Sub', [y, g.one('Mul', [y, y])])])]),
  Tanh: unary((g, dy, _x, y) => [g.one('Mul', [dy, g.one('Sub', [g.scalar(1), g.one('Mul', [y, y])])])]),
  Sqrt: unary((g, dy, _x, y) => [g.one('Div', [g.one('Mul', [dy, g.scalar(0.5)]), y])]),
  Reciprocal: unary((g, dy, _x, y) => [negative(g, g.one('Mul', [dy, g.one('Mul', [y, y])]))]),
};
