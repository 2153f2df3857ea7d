import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/ml/engine/differentiate.ts';
import { sumAll } from '../../../src/ml/engine/functions.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import type { Attributes, Shape, Value } from '../../../src/ml/engine/ir.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { operators } from '../../../src/ml/engine/operators/index.ts';
import { type Feeds, floatsOf, floatTensor, intTensor, type Tensor } from '../../../src/ml/engine/session.ts';
import { parametersOf } from '../../../src/ml/models/model.ts';
import { initializeParameters } from '../../../src/ml/tensor/parameters.ts';
import { Trainer } from '../../../src/ml/training/trainer.ts';

/**
 * The same bits with any number of threads. Sizes are beyond those from which ONNX Runtime divides an operator's work among
 * threads, with odd remainders; places repeat as words do in text.
 */
const THREADS = [1, 2, 4];
const REPEATS = 3;

interface Case {
  readonly name: string;
  readonly covers: readonly string[];
  readonly feeds: readonly Tensor[];
  readonly build: (g: Graph, inputs: readonly Value[]) => readonly Value[];
}

const sizeOf = (shape: Shape): number => shape.reduce((product, d) => product * d, 1);
/** Numbers of all magnitudes around 1, so that the order of a sum shows in its bits. */
const floats = (...shape: number[]): Tensor =>
  floatTensor(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i * 12.9898) * (1 + ((i * 7919) % 1013) / 97)),
    shape,
  );
const positive = (...shape: number[]): Tensor => floatTensor(floatsOf(floats(...shape)).map(Math.abs), shape);
const places = (of: number, shape: readonly number[], at: (i: number) => number): Tensor =>
  intTensor(
    BigInt64Array.from({ length: sizeOf(shape) }, (_, i) => BigInt(at(i) % of)),
    shape,
  );
/** Ranks drawn by Zipf's law: a few of them very often. */
const zipf = (of: number, count: number): Tensor =>
  places(of, [count, 1], (i) => Math.floor(Math.exp((((i * 7919) % 10_007) / 10_007) * Math.log(of + 1))) - 1);

const op = (name: string, feeds: readonly Tensor[], attributes: Attributes = {}, note = ''): Case => ({
  name: note === '' ? name : `${name} ${note}`,
  covers: [name],
  feeds,
  build: (g, inputs) => g.many(name, inputs, attributes),
});
const axes = (note: string, ...of: number[]) =>
  ['ReduceSum', 'ReduceSumSquare', 'ReduceMax'].flatMap((name) =>
    [0, 1].map((keepDims) =>
      op(name, [floats(67, 129, 131)], { axes: of, keepDims }, `over ${note}, keepDims ${keepDims}`),
    ),
  );

const gemms = [
  [1, 1031, 4099],
  [3, 515, 1027],
  [257, 131, 1029],
  [517, 1033, 3],
  // One column alone has a kernel of its own.
  [1031, 259, 1],
  [4099, 67, 1],
] as const;

const cases: readonly Case[] = [
  ...['Add', 'Sub', 'Mul', 'Div', 'Equal', 'Less'].flatMap((name) => [
    op(name, [floats(1031, 1033), positive(1031, 1033)]),
    op(name, [floats(1031, 1033), positive(1033)], {}, 'with a row'),
    op(name, [floats(1031, 1033), positive(1031, 1)], {}, 'with a column'),
  ]),
  ...['Identity', 'Floor', 'Neg', 'Exp', 'Relu', 'Gelu', 'Erf', 'Sigmoid', 'Tanh'].map((name) =>
    op(name, [floats(1031, 1033)]),
  ),
  ...['Log', 'Sqrt', 'Reciprocal'].map((name) => op(name, [positive(1031, 1033)])),
  op('Cast', [floats(1031, 1033)], { to: 10 }),
  ...gemms.flatMap(([m, k, n]) =>
    [0, 1].flatMap((transA) =>
      [0, 1].flatMap((transB) => {
        const [a, b] = [transA === 1 ? [k, m] : [m, k], transB === 1 ? [n, k] : [k, n]];
        const note = `${m}×${k}·${k}×${n}, transA ${transA}, transB ${transB}`;
        return [
          op('Gemm', [floats(...a), floats(...b), floats(n)], { transA, transB }, `${note}, plus a row`),
          op('Gemm', [floats(...a), floats(...b)], { transA, transB }, note),
          op('MatMul', [floats(3, ...a), floats(3, ...b)], { transA, transB }, `3 of ${note}`),
          op('MatMul', [floats(1, ...a), floats(...b)], { transA, transB }, `1 of ${note}`),
        ];
      }),
    ),
  ),
  op('Head', [floats(257, 131), floats(4099, 131)]),
  op('Reshape', [floats(1031, 1033)], { shape: [1033, 1031] }),
  op('Transpose', [floats(67, 129, 131)], { permutation: [1, 0, 2] }, 'of the first axes'),
  op('Transpose', [floats(67, 129, 131)], { permutation: [2, 0, 1] }, 'of all axes'),
  op('Split', [floats(1031, 1033)], { axis: 1, sizes: [33, 1000] }),
  op('Concat', [floats(1031, 133), floats(1031, 1033)], { axis: 1 }),
  op('Slice', [floats(1031, 1033)], { axes: [0, 1], starts: [1, 3], ends: [1030, 1031] }),
  op('Pad', [floats(1031, 1033)], { begin: [1, 3], end: [2, 1] }),
  ...axes('all', 0, 1, 2),
  ...axes('the first', 0),
  ...axes('the middle', 1),
  ...axes('the last', 2),
  ...axes('the first and last', 0, 2),
  ...axes('the last two', 1, 2),
  op('Expand', [floats(1, 1033)], { shape: [1031, 1033] }),
  op('Softmax', [floats(131, 8209)], {}, 'of long rows'),
  op('Softmax', [floats(8209, 131)], {}, 'of many rows'),
  op('LayerNormalization', [floats(8209, 131), floats(131), floats(131)], { epsilon: 1e-5 }),
  op('Gather', [floats(4099, 259), zipf(4099, 4099)]),
  op('GatherElements', [floats(4099, 259), places(259, [4099, 1], (i) => i * 7)]),
  op('AddRows', [floats(8192, 512), zipf(8192, 2048), floats(2048, 512)], {}, 'at places that repeat'),
  op('AddElements', [floats(8209, 131), pairs(8209, 131), floats(8209)]),
  op('SetRows', [floats(8192, 259), places(8192, [4096, 1], (i) => 2 * i), floats(4096, 259)]),
  op('Conv', [floats(5, 17, 33, 31), floats(19, 17, 3, 3)]),
];

/** A different place in each row. */
function pairs(rows: number, columns: number): Tensor {
  return places(Number.MAX_SAFE_INTEGER, [rows, 2], (i) => (i % 2 === 0 ? i / 2 : (i * 7) % columns));
}

function bytesOf({ data }: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A digest of all outputs, one for each run. */
async function digests({ name, feeds, build }: Case, threads: number, repeats: number): Promise<readonly string[]> {
  const g = new Graph();
  const inputs = feeds.map(({ dims, type }, i) => g.input(`x${i}`, type === 'int64' ? 'int64' : 'float32', dims));
  build(g, inputs).forEach((value, i) => {
    g.output(`y${i}`, value);
  });
  const session = await nodeRuntime().compile(g, name, { threads });
  const fed: Feeds = Object.fromEntries(feeds.map((tensor, i) => [`x${i}`, tensor]));
  const all: string[] = [];
  for (let i = 0; i < repeats; i++) {
    const hash = createHash('sha256');
    for (const result of Object.values(await session.run(fed))) hash.update(bytesOf(result));
    all.push(hash.digest('hex').slice(0, 12));
  }
  await session.release();
  return all;
}

async function sameBits(of: Case, repeats = REPEATS): Promise<void> {
  const [first, ...others] = (await Promise.all(THREADS.map((threads) => digests(of, threads, repeats)))).flat();
  expect(others).toEqual(others.map(() => first));
}

describe('the same bits with any number of threads', () => {
  it.each(cases)('$name', (of) => sameBits(of));

  it('adds rows that repeat as one loop does, in their order', async () => {
    const [vocabulary, width, count] = [8192, 512, 2048];
    const [ids, rows] = [zipf(vocabulary, count), floats(count, width)];
    const expected = new Float32Array(vocabulary * width);
    (ids.data as BigInt64Array).forEach((id, n) => {
      for (let c = 0; c < width; c++) expected[Number(id) * width + c]! += floatsOf(rows)[n * width + c]!;
    });
    const g = new Graph();
    const [table, at] = [g.input('table', 'float32', [vocabulary, width]), g.input('ids', 'int64', [count])];
    const scale = g.input('rows', 'float32', [count, width]);
    const [gradient] = differentiate(g, sumAll(g, g.one('Mul', [g.one('Gather', [table, at]), scale])), [table]);
    g.output('gradient', gradient!);
    for (const threads of THREADS) {
      const session = await nodeRuntime().compile(g, 'embedding', { threads });
      for (let i = 0; i < 10; i++) {
        const results = await session.run({
          table: floatTensor(new Float32Array(vocabulary * width), [vocabulary, width]),
          ids: intTensor(ids.data as BigInt64Array, [count]),
          rows,
        });
        expect(Buffer.compare(bytesOf(results.gradient!), bytesOf(floatTensor(expected, [vocabulary, width])))).toBe(0);
      }
      await session.release();
    }
  });

  it.each([1, 2])('trains to the same parameters with seed %i', async (seed) => {
    const model = {
      architecture: 'gpt2',
      vocabularySize: 4096,
      contextLength: 256,
      width: 64,
      layers: 1,
      heads: 2,
    } as const;
    const ids = (offset: number): BigInt64Array => (zipf(4096, 1024 + offset).data as BigInt64Array).slice(offset);
    const batch = {
      input: ids(0),
      shape: [4, 256],
      targets: ids(1),
      targetShape: [1024],
      weights: new Float32Array(1024).fill(1),
      count: 1024,
    };
    const trained = async (threads: number): Promise<string> => {
      const trainer = await Trainer.create(
        {
          runtime: nodeRuntime(),
          model,
          optimizer: {
            kind: 'muon',
            rate: 0.02,
            momentum: 0.95,
            adamRate: 1e-3,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weightDecay: 0.1,
          },
          schedule: { warmUpSteps: 0, totalSteps: 10, finalShare: 1 },
          batchSize: 4,
          clipNorm: 1,
          threads,
          dropout: 0.1,
          seed,
        },
        initializeParameters(parametersOf(model), seed),
      );
      const hash = createHash('sha256');
      for (let i = 0; i < 3; i++) hash.update(JSON.stringify(await trainer.step(batch)));
      for (const data of (await trainer.save()).parameters.values()) hash.update(data);
      await trainer.release();
      return hash.digest('hex');
    };
    const alone = await trained(1);
    for (const threads of [2, 2, 4]) expect(await trained(threads)).toBe(alone);
  });

  it('is asked of every operator', () => {
    const covered = new Set(cases.flatMap(({ covers }) => covers));
    expect(Object.keys(operators).filter((name) => !covered.has(name))).toEqual([]);
  });
});
