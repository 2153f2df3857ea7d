import { describe, expect, it } from 'vitest';
import { attention, crossEntropy, gelu, layerNorm, linear, sumOfSquares } from '../../../src/ml/engine/functions.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import type { Shape, Value } from '../../../src/ml/engine/ir.ts';
import { operators } from '../../../src/ml/engine/operators/index.ts';
import { createSession, floatsOf, floatTensor } from '../../../src/ml/engine/session.ts';
import { worstGradientError } from './finite-differences.ts';

interface Case {
  readonly name: string;
  /** Operators whose gradient this case is the test of. */
  readonly covers: readonly string[];
  readonly shapes: readonly Shape[];
  readonly build: (g: Graph, inputs: readonly Value[]) => Value;
  readonly range?: readonly [number, number];
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
  { name: 'LogSoftmax', covers: ['LogSoftmax'], shapes: [[3, 5]], build: (g, [x]) => g.one('LogSoftmax', [x!]) },
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
  {
    name: 'attention',
    covers: [],
    shapes: [
      [1, 2, 4, 3],
      [1, 2, 3, 4],
      [1, 2, 4, 3],
    ],
    build: (g, [q, k, v]) => attention(g, q!, k!, v!),
  },
  { name: 'sumOfSquares', covers: ['ReduceSumSquare'], shapes: [[3, 4]], build: (g, [x]) => sumOfSquares(g, x!) },
  { name: 'crossEntropy', covers: [], shapes: [[3, 5]], build: (g, [x]) => crossEntropy(g, x!, indices(g, 0, 4, 2)) },
  {
    name: 'attention in blocks',
    covers: [],
    shapes: [
      [1, 2, 6, 3],
      [1, 2, 3, 6],
      [1, 2, 6, 3],
    ],
    build: (g, [q, k, v]) => attention(g, q!, k!, v!, 2),
  },
];

describe('gradients against central finite differences', () => {
  it.each(cases)('$name', async ({ shapes, build, range }) => {
    expect(await worstGradientError(shapes, build, range)).toBeLessThan(2e-3);
  });

  it('gives the same attention in blocks as in one piece', async () => {
    const g = new Graph();
    const [q, k, v] = [
      [1, 2, 6, 3],
      [1, 2, 3, 6],
      [1, 2, 6, 3],
    ].map((shape, i) => g.input(`x${i}`, 'float32', shape));
    g.output('whole', attention(g, q!, k!, v!, 6));
    g.output('blocks', attention(g, q!, k!, v!, 2));
    const session = await createSession(g, 'attention', { threads: 1 });
    const feed = (seed: number, shape: readonly number[]) =>
      floatTensor(
        Float32Array.from({ length: 36 }, (_, i) => Math.sin(i * seed)),
        shape,
      );
    const { whole, blocks } = await session.run({
      x0: feed(1, q!.shape),
      x1: feed(2, k!.shape),
      x2: feed(3, v!.shape),
    });
    const [a, b] = [floatsOf(whole!), floatsOf(blocks!)];
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
