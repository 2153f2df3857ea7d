import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/ml/engine/differentiate.ts';
import { sumAll } from '../../../src/ml/engine/functions.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { toOnnx } from '../../../src/ml/engine/onnx.ts';
import { recomputed } from '../../../src/ml/engine/recompute.ts';
import { floatsOf, floatTensor } from '../../../src/ml/engine/session.ts';

describe('graph', () => {
  it('names the shapes that do not fit', () => {
    const g = new Graph();
    const a = g.input('a', 'float32', [2, 3]);
    const b = g.input('b', 'float32', [4, 5]);
    expect(() => g.one('Gemm', [a, b])).toThrow(/inner sizes 3 and 4 differ for \[2, 3\] · \[4, 5\]/);
    expect(() => g.one('Add', [a, b])).toThrow(/\[2, 3\] and \[4, 5\] do not broadcast/);
    expect(() => g.one('Reshape', [a], { shape: [7] })).toThrow(/\[2, 3\] cannot become \[7\]/);
    expect(() => g.one('Convolve', [a])).toThrow(/there is no such operator/);
    expect(() => g.input('a', 'float32', [1])).toThrow(/the name a is taken/);
  });

  it('refuses to differentiate what does not depend on a parameter, or has no gradient', () => {
    const g = new Graph();
    const a = g.input('a', 'float32', [2]);
    const b = g.input('b', 'float32', [2]);
    expect(() => differentiate(g, sumAll(g, a), [b])).toThrow(/does not depend on b/);
    expect(() => differentiate(g, sumAll(g, g.one('Floor', [a])), [a])).toThrow(/Floor: has no gradient/);
    expect(() => differentiate(g, a, [a])).toThrow(/the loss has shape \[2\]/);
  });

  it('adds up the gradients of a value that is used twice', async () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    const loss = sumAll(g, g.one('Add', [g.one('Mul', [x, x]), x]));
    const [dx] = differentiate(g, loss, [x]);
    g.output('dx', dx!);
    const session = await nodeRuntime().compile(g, 'test', { threads: 1 });
    const { dx: gradient } = await session.run({ x: floatTensor(Float32Array.of(3, -2), [2]) });
    expect([...floatsOf(gradient!)]).toEqual([7, -3]);
    await session.release();
  });

  it('leaves out of the file what no output needs', () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    g.output('y', g.one('Neg', [x]));
    const before = toOnnx(g, 'test').length;
    g.one('Exp', [x]);
    expect(toOnnx(g, 'test')).toHaveLength(before);
  });

  it('computes a segment again in the backward pass, with the same gradients and with fewer values kept', async () => {
    const build = (g: Graph) => {
      const [x, w] = [g.input('x', 'float32', [2, 3]), g.input('w', 'float32', [3, 3])];
      const y = g.segment('block', [x], ([v]) =>
        g.one('Tanh', [g.one('Gemm', [g.one('Tanh', [g.one('Gemm', [v!, w])]), w])]),
      );
      const [dx, dw] = differentiate(g, sumAll(g, g.one('Mul', [y, y])), [x, w]);
      g.output('dx', dx!);
      g.output('dw', dw!);
      return g.nodes.filter((node) => node.op === 'Tanh').length;
    };
    const run = async (g: Graph) => {
      const session = await nodeRuntime().compile(g, 'test', { threads: 1 });
      const feed = (length: number, shape: readonly number[]) =>
        floatTensor(
          Float32Array.from({ length }, (_, i) => Math.sin(i + 1)),
          shape,
        );
      const { dx, dw } = await session.run({ x: feed(6, [2, 3]), w: feed(9, [3, 3]) });
      await session.release();
      return [...floatsOf(dx!), ...floatsOf(dw!)];
    };
    const plain = new Graph();
    const again = new Graph({ segment: (g, _kind, inputs, rebuild) => recomputed(g, inputs, rebuild) });
    expect(build(plain)).toBe(2);
    expect(build(again)).toBe(4);
    expect(await run(again)).toEqual(await run(plain));
  });

  it('computes products in half precision, and sums and losses in float32', () => {
    const g = new Graph({ precision: 'float16' });
    const [x, w] = [g.input('x', 'float32', [2, 3]), g.input('w', 'float32', [3, 3])];
    const product = g.one('Gemm', [x, w]);
    expect(product.dtype).toBe('float16');
    expect(g.one('Mul', [product, g.scalar(2)]).dtype).toBe('float16');
    expect(g.one('Add', [product, x]).dtype).toBe('float32');
    expect(g.one('Softmax', [product]).dtype).toBe('float32');
    const [dw] = differentiate(g, sumAll(g, product), [w]);
    expect(dw!.dtype).toBe('float32');
  });

  it('writes an output where the caller wants it, also over the input that it was made of', async () => {
    const g = new Graph();
    const [x, y] = [g.input('x', 'float32', [3]), g.input('y', 'float32', [3])];
    g.output('next', g.one('Add', [g.one('Mul', [x, g.scalar(2)]), y]));
    const session = await nodeRuntime().compile(g, 'test', { threads: 1 });
    const memory = Float32Array.of(9, 1, 2, 3, 9);
    const place = floatTensor(memory.subarray(1, 4), [3]);
    const { next } = await session.run({ x: place, y: floatTensor(Float32Array.of(1, 1, 1), [3]) }, { next: place });
    expect(next).toBe(place);
    expect([...memory]).toEqual([9, 3, 5, 7, 9]);
    await session.release();
  });
});
