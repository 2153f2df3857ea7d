import { differentiate } from '../../../src/ml/engine/differentiate.ts';
import { sumAll } from '../../../src/ml/engine/functions.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import type { Shape, Value } from '../../../src/ml/engine/ir.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { floatsOf, floatTensor } from '../../../src/ml/engine/session.ts';
import { sizeOf } from '../../../src/ml/engine/shape.ts';
import { seededRandom } from '../../../src/ml/tensor/random.ts';

/**
 * Compares the graph's gradients with central finite differences along random directions.
 *
 * The scalar under test is Σ r · f(x) with fixed random r, so that every output element counts.
 *
 * @returns the worst relative error over all inputs and directions
 */
export async function worstGradientError(
  shapes: readonly Shape[],
  build: (g: Graph, inputs: readonly Value[]) => Value,
  range: readonly [low: number, high: number] = [-1, 1],
): Promise<number> {
  const random = seededRandom(42);
  const uniform = (n: number): Float32Array =>
    Float32Array.from({ length: n }, () => range[0] + (range[1] - range[0]) * random.uniform());
  const graph = new Graph();
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
  const y = build(graph, inputs);
  const weights = graph.constant(
    Float32Array.from({ length: sizeOf(y.shape) }, () => random.normal()),
    y.shape,
  );
  const loss = sumAll(graph, graph.one('Mul', [y, weights]));
  graph.output('loss', loss);
  differentiate(graph, loss, inputs).forEach((gradient, i) => {
    graph.output(`dx${i}`, gradient);
  });
  const session = await nodeRuntime().compile(graph, 'finite differences', { threads: 1 });
  const values = shapes.map((shape) => uniform(sizeOf(shape)));
  const run = (arrays: readonly Float32Array[]) =>
    session.run(Object.fromEntries(arrays.map((a, i) => [`x${i}`, floatTensor(a, shapes[i]!)])));
  const analytic = await run(values);
  let worst = 0;
  for (let i = 0; i < shapes.length; i++) {
    for (let direction = 0; direction < 3; direction++) {
      const along = Float32Array.from({ length: values[i]!.length }, () => random.normal());
      const shifted = async (step: number): Promise<number> => {
        const moved = values.map((a, j) => (j === i ? a.map((v, k) => v + step * along[k]!) : a));
        return floatsOf((await run(moved)).loss!)[0]!;
      };
      const step = 1e-2;
      // Richardson's extrapolation takes the second-order error out, so that a large step beats rounding.
      const coarse = ((await shifted(step)) - (await shifted(-step))) / (2 * step);
      const fine = ((await shifted(step / 2)) - (await shifted(-step / 2))) / step;
      const numeric = (4 * fine - coarse) / 3;
      const gradient = floatsOf(analytic[`dx${i}`]!);
      const predicted = gradient.reduce((sum, g, k) => sum + g * along[k]!, 0);
      worst = Math.max(worst, Math.abs(numeric - predicted) / Math.max(0.1, Math.abs(numeric), Math.abs(predicted)));
    }
  }
  await session.release();
  return worst;
}
