import { describe, expect, it } from 'vitest';
import { castTo } from '../../../src/ml/engine/autocast.ts';
import { crossEntropySum } from '../../../src/ml/engine/cross-entropy.ts';
import {
  attention,
  dropout,
  exactGelu,
  gelu,
  globalAveragePool,
  groupNorm,
  head,
  layerNorm,
  linear,
  linearTransposed,
  maxPool2,
  rmsNorm,
  rotary,
  squaredErrorSum,
  sumOfSquares,
  swiglu,
} from '../../../src/ml/engine/functions.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import type { Shape, Value } from '../../../src/ml/engine/ir.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { operators } from '../../../src/ml/engine/operators/index.ts';
import { floatsOf, floatTensor } from '../../../src/ml/engine/session.ts';
import { worstGradientError } from './finite-differences.ts';

interface Case {
  readonly name: string;
  /** Operators whose gradient this case is the test of. */
  readonly covers: readonly string[];
  readonly shapes: readonly Shape[];
  readonly build: (g: Graph, inputs: readonly Value[]) => Value;
  readonly range?: readonly [number, number];
  readonly tolerance?: number;
}

const unary = (op: string, range?: readonly [number, number]): Case => ({
  name: op,
  covers: [op],
  shapes: [[3, 4]],
  build: (g, [x]) => g.one(op, [x!]),
  ...(range === undefined ? {} : { range }),
});
const binary = (op: string, a: Shape, b: Shape, range?: readonly [number, number]): Case => ({
  name: `${op} of ${JSON.stringify(a)} and ${JSON.stringify(b)}`,
  covers: [op],
  shapes: [a, b],
  build: (g, [x, y]) => g.one(op, [x!, y!]),
  ...(range === undefined ? {} : { range }),
});
const indices = (g: Graph, ...ids: readonly number[]): Value =>
  g.constant(BigInt64Array.from(ids, BigInt), [ids.length]);

const cases: readonly Case[] = [
  ...['Neg', 'Exp', 'Tanh', 'Sigmoid'].map((op) => unary(op)),
  unary('Sqrt', [0.5, 2]),
  unary('Log', [0.5, 2]),
  { ...unary('Relu', [0.2, 1]), name: 'Relu of positive numbers' },
  { ...unary('Relu', [-1, -0.2]), name: 'Relu of negative numbers' },
  {
    name: 'Cast',
    covers: ['Cast'],
    shapes: [[3, 4]],
    build: (g, [x]) => castTo(g, castTo(g, x!, 'float16'), 'float32'),
    // A half has three digits, and the finite difference has their rounding.
    tolerance: 3e-2,
  },
  unary('Reciprocal', [0.5, 2]),
  ...['Add', 'Sub', 'Mul'].flatMap((op) => [
    binary(op, [3, 4], [3, 4]),
    binary(op, [3, 4], [4]),
    binary(op, [2, 1, 4], [3, 1]),
    binary(op, [], [2, 3]),
  ]),
  binary('Div', [3, 4], [3, 4], [0.5, 2]),
  binary('Div', [3, 4], [1, 4], [0.5, 2]),
  binary('MatMul', [2, 3, 4], [2, 4, 5]),
  binary('MatMul', [2, 3, 4], [4, 5]),
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) => ({
      name: `MatMul transA ${transA} transB ${transB}`,
      covers: ['MatMul'],
      shapes: [transA === 1 ? [2, 4, 3] : [2, 3, 4], transB === 1 ? [2, 5, 4] : [2, 4, 5]],
      build: (g: Graph, xs: readonly Value[]) => g.one('MatMul', xs, { transA, transB }),
    })),
  ),
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) => ({
      name: `Gemm transA ${transA} transB ${transB} with C`,
      covers: ['Gemm'],
      shapes: [transA === 1 ? [4, 3] : [3, 4], transB === 1 ? [5, 4] : [4, 5], [5]],
      build: (g: Graph, xs: readonly Value[]) => g.one('Gemm', xs, { transA, transB, alpha: 0.5, beta: 2 }),
    })),
  ),
  {
    name: 'Reshape',
    covers: ['Reshape'],
    shapes: [[3, 4]],
    build: (g, [x]) => g.one('Reshape', [x!], { shape: [2, 6] }),
  },
  {
    name: 'Transpose',
    covers: ['Transpose'],
    shapes: [[2, 3, 4]],
    build: (g, [x]) => g.one('Transpose', [x!], { permutation: [2, 0, 1] }),
  },
  {
    name: 'Split with an unused piece, and Concat',
    covers: ['Split', 'Concat'],
    shapes: [[2, 6]],
    build: (g, [x]) => {
      const [a, , c] = g.many('Split', [x!], { axis: 1, sizes: [1, 2, 3] });
      return g.one('Concat', [c!, a!], { axis: 1 });
    },
  },
  {
    name: 'ReduceSum keeping axes',
    covers: ['ReduceSum'],
    shapes: [[2, 3, 4]],
    build: (g, [x]) => g.one('ReduceSum', [x!], { axes: [1], keepDims: 1 }),
  },
  {
    name: 'ReduceSum dropping axes',
    covers: ['ReduceSum'],
    shapes: [[2, 3, 4]],
    build: (g, [x]) => g.one('ReduceSum', [x!], { axes: [0, 2], keepDims: 0 }),
  },
  {
    name: 'Expand',
    covers: ['Expand'],
    shapes: [[2, 1, 4]],
    build: (g, [x]) => g.one('Expand', [x!], { shape: [2, 3, 4] }),
  },
  { name: 'Softmax', covers: ['Softmax'], shapes: [[3, 5]], build: (g, [x]) => g.one('Softmax', [x!]) },
  {
    name: 'LayerNormalization',
    covers: ['LayerNormalization'],
    shapes: [[3, 6], [6], [6]],
    build: (g, [x, s, b]) => layerNorm(g, x!, s!, b!, 1e-5),
  },
  {
    name: 'Gather with a repeated index',
    covers: ['Gather'],
    shapes: [[5, 3]],
    build: (g, [t]) => g.one('Gather', [t!, indices(g, 1, 4, 1, 0)]),
  },
  { name: 'linear', covers: [], shapes: [[3, 4], [4, 5], [5]], build: (g, [x, w, b]) => linear(g, x!, w!, b!) },
  { name: 'gelu', covers: [], shapes: [[3, 4]], build: (g, [x]) => gelu(g, x!), range: [-3, 3] },
  { name: 'exact gelu', covers: ['Erf'], shapes: [[3, 4]], build: (g, [x]) => exactGelu(g, x!), range: [-3, 3] },
  {
    name: 'attention',
    covers: [],
    shapes: [
      [1, 2, 4, 3],
      [1, 2, 4, 3],
      [1, 2, 4, 3],
    ],
    build: (g, [q, k, v]) => attention(g, q!, k!, v!),
  },
  { name: 'sumOfSquares', covers: ['ReduceSumSquare'], shapes: [[3, 4]], build: (g, [x]) => sumOfSquares(g, x!) },
  ...[0, 0.3].map((smoothing) => ({
    name: `crossEntropySum with a row that does not count, smoothing ${smoothing}`,
    covers: [],
    shapes: [[3, 5]],
    build: (g: Graph, [x]: readonly Value[]) =>
      crossEntropySum(g, x!, indices(g, 0, 4, 2), g.constant(Float32Array.of(1, 0, 2), [3, 1]), smoothing),
  })),
  {
    name: 'squaredErrorSum',
    covers: [],
    shapes: [[3, 2]],
    build: (g, [x]) => {
      const targets = g.constant(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
      return squaredErrorSum(g, x!, targets, g.constant(Float32Array.of(1, 0, 2), [3, 1]));
    },
  },
  {
    name: 'Gather from a large table',
    covers: ['Gather'],
    shapes: [[3000, 2]],
    build: (g, [t]) => g.one('Gather', [t!, indices(g, 2999, 7, 7)]),
  },
  {
    name: 'Slice',
    covers: ['Slice'],
    shapes: [[3, 5]],
    build: (g, [x]) => g.one('Slice', [x!], { axes: [0, 1], starts: [1, 2], ends: [3, 4] }),
  },
  {
    name: 'Pad',
    covers: ['Pad'],
    shapes: [[2, 3]],
    build: (g, [x]) => g.one('Pad', [x!], { begin: [1, 0], end: [0, 2] }),
  },
  {
    name: 'ReduceMax',
    covers: ['ReduceMax'],
    shapes: [[3, 4]],
    build: (g, [x]) => g.one('ReduceMax', [x!], { axes: [1], keepDims: 0 }),
  },
  {
    name: 'Conv',
    covers: ['Conv'],
    shapes: [
      [2, 3, 4, 5],
      [4, 3, 3, 3],
    ],
    build: (g, xs) => g.one('Conv', xs),
  },
  {
    name: 'linearTransposed',
    covers: [],
    shapes: [[3, 4], [5, 4], [5]],
    build: (g, [x, w, b]) => linearTransposed(g, x!, w!, b!),
  },
  { name: 'rmsNorm', covers: [], shapes: [[3, 6], [6]], build: (g, [x, s]) => rmsNorm(g, x!, s!, 1e-5) },
  {
    name: 'swiglu',
    covers: [],
    shapes: [
      [3, 4],
      [3, 4],
    ],
    build: (g, [a, b]) => swiglu(g, a!, b!),
    range: [-3, 3],
  },
  {
    name: 'rotary',
    covers: [],
    shapes: [[2, 3, 2, 4]],
    build: (g, [x]) => {
      const table = (f: (angle: number) => number): Value =>
        g.constant(
          Float32Array.from({ length: 6 }, (_, i) => f(i)),
          [3, 1, 2],
        );
      return rotary(g, x!, table(Math.cos), table(Math.sin));
    },
  },
  {
    name: 'groupNorm',
    covers: [],
    shapes: [[2, 4, 2, 3], [4], [4]],
    build: (g, [x, s, b]) => groupNorm(g, x!, s!, b!, 2, 1e-5),
  },
  {
    name: 'maxPool2',
    covers: [],
    shapes: [[2, 2, 4, 6]],
    // Numbers far apart, so that a small step does not change which is the largest.
    build: (g, [x]) => {
      const apart = Float32Array.from({ length: 96 }, (_, i) => ((i * 37) % 96) / 2);
      return maxPool2(g, g.one('Add', [x!, g.constant(apart, [2, 2, 4, 6])]));
    },
    range: [-0.1, 0.1],
    tolerance: 1e-2,
  },
  { name: 'globalAveragePool', covers: [], shapes: [[2, 3, 4, 5]], build: (g, [x]) => globalAveragePool(g, x!) },
  {
    name: 'dropout',
    covers: [],
    shapes: [[4, 6]],
    build: (g, [x]) => {
      const residues = (length: number, shape: Shape): Value =>
        g.constant(
          Float32Array.from({ length }, (_, i) => 17 + 911 * i),
          shape,
        );
      return dropout(g, x!, 0.5, residues(4, [4, 1]), g.constant(Float32Array.of(5, 77, 1234, 4000, 9, 321), [1, 6]));
    },
  },
  {
    name: 'attention in blocks, the last of which is smaller',
    covers: [],
    shapes: [
      [1, 2, 5, 3],
      [1, 2, 5, 3],
      [1, 2, 5, 3],
    ],
    build: (g, [q, k, v]) => attention(g, q!, k!, v!, 2),
  },
  {
    name: 'head',
    covers: ['Head'],
    shapes: [
      [3, 4],
      [5, 4],
    ],
    build: (g, [x, w]) => head(g, x!, w!),
  },
];

describe('gradients against central finite differences', () => {
  it.each(cases)('$name', async ({ shapes, build, range, tolerance = 2e-3 }) => {
    expect(await worstGradientError(shapes, build, range)).toBeLessThan(tolerance);
  });

  it('gives the same attention in blocks as in one piece', async () => {
    const g = new Graph();
    const [q, k, v] = [
      [1, 2, 6, 3],
      [1, 2, 6, 3],
      [1, 2, 6, 3],
    ].map((shape, i) => g.input(`x${i}`, 'float32', shape));
    g.output('whole', attention(g, q!, k!, v!, 6));
    g.output('blocks', attention(g, q!, k!, v!, 2));
    g.output('uneven', attention(g, q!, k!, v!, 4));
    const session = await nodeRuntime().compile(g, 'attention', { threads: 1 });
    const feed = (seed: number, shape: readonly number[]) =>
      floatTensor(
        Float32Array.from({ length: 36 }, (_, i) => Math.sin(i * seed)),
        shape,
      );
    const { whole, blocks, uneven } = await session.run({
      x0: feed(1, q!.shape),
      x1: feed(2, k!.shape),
      x2: feed(3, v!.shape),
    });
    const a = floatsOf(whole!);
    for (const b of [floatsOf(blocks!), floatsOf(uneven!)])
      for (let i = 0; i < a.length; i++) expect(b[i]!).toBeCloseTo(a[i]!, 6);
    expect(new Set(a).size).toBeGreaterThan(10);
    await session.release();
  });

  it('covers every operator that has a gradient', () => {
    const differentiable = Object.entries(operators).flatMap(([op, { gradient }]) =>
      gradient === undefined ? [] : [op],
    );
    const covered = new Set(cases.flatMap((c) => c.covers));
    expect(differentiable.filter((op) => !covered.has(op))).toEqual([]);
  });
});
