import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/ml/engine/differentiate.ts';
import { sumAll } from '../../../src/ml/engine/functions.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import { toOnnx } from '../../../src/ml/engine/onnx.ts';
import { createSession, floatsOf, floatTensor } from '../../../src/ml/engine/session.ts';

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
    expect(() => differentiate(g, sumAll(g, g.one('Min', [a, b])), [a])).toThrow(/Min: has no gradient/);
    expect(() => differentiate(g, a, [a])).toThrow(/the loss has shape \[2\]/);
  });

  it('adds up the gradients of a value that is used twice', async () => {
    const g = new Graph();
    const x = g.input('x', 'float32', [2]);
    const loss = sumAll(g, g.one('Add', [g.one('Mul', [x, x]), x]));
    const [dx] = differentiate(g, loss, [x]);
    g.output('dx', dx!);
    const session = await createSession(g, 'test', { threads: 1 });
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
});
