import { type Builder, float, int, type Operator, type Value } from '../ir.ts';
import { sumTo } from '../shape.ts';

const lastAxis = (x: Value): number => x.shape.length - 1;

const sumLast = (g: Builder, x: Value): Value => g.one('ReduceSum', [x], { axes: [lastAxis(x)], keepDims: 1 });

/** Softmax over the last axis: dx = y · (dy − Σ dy·y). */
const Softmax: Operator = {
  infer: ([x]) => [{ dtype: 'float32', shape: x!.shape }],
  emit: () => ({ opType: 'Softmax', attributes: { axis: int(-1) } }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const y = node.outputs[0]!;
    const weighted = g.one('Mul', [dy, y]);
    return [g.one('Sub', [weighted, g.one('Mul', [y, sumLast(g, weighted)])])];
  },
};

/**
 * (x, scale, bias) → (y, mean, inverse standard deviation) over the last axis, Ba et al. 2016 (arXiv 1607.06450).
 * With x̂ = (x − mean)·invStd and u = dy·scale: dx = invStd · (u − avg(u) − x̂ · avg(u·x̂)).
 */
const LayerNormalization: Operator = {
  infer([x]) {
    const statistics = { dtype: 'float32', shape: x!.shape.with(lastAxis(x!), 1) } as const;
    return [{ dtype: 'float32', shape: x!.shape }, statistics, statistics];
  },
  emit: ({ attributes }) => ({
    opType: 'LayerNormalization',
    attributes: { axis: int(-1), epsilon: float(Number(attributes.epsilon)) },
  }),
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [x, scale] = node.inputs;
    const [, mean, inverseStd] = node.outputs;
    const width = g.scalar(1 / x!.shape.at(-1)!);
    const average = (v: Value) => g.one('Mul', [sumLast(g, v), width]);
    const normalized = g.one('Mul', [g.one('Sub', [x!, mean!]), inverseStd!]);
    const u = g.one('Mul', [dy, scale!]);
    const dyNormalized = g.one('Mul', [dy, normalized]);
    const uNormalized = g.one('Mul', [u, normalized]);
    const centred = g.one('Sub', [g.one('Sub', [u, average(u)]), g.one('Mul', [normalized, average(uNormalized)])]);
    return [g.one('Mul', [centred, inverseStd!]), sumTo(g, dyNormalized, scale!.shape), sumTo(g, dy, scale!.shape)];
  },
};

export const normalization: Readonly<Record<string, Operator>> = { Softmax, LayerNormalization };
