/**
 * Prints the most memory that this process had, in bytes, before and after a gradient of a small model with a large
 * vocabulary: `node peak-memory.ts ROWS_AT_ONCE`.
 */
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { floatTensor, intTensor } from '../../../src/ml/engine/session.ts';
import { parametersOf } from '../../../src/ml/models/model.ts';
import { initializeParameters } from '../../../src/ml/tensor/parameters.ts';
import { gradientGraph } from '../../../src/ml/training/training-graph.ts';

const [rows, vocabularySize] = [2048, 49_152];
const model = {
  architecture: 'gpt2',
  vocabularySize,
  contextLength: rows / 2,
  width: 32,
  layers: 1,
  heads: 1,
} as const;
const { graph } = gradientGraph(model, {
  batchSize: 2,
  precision: 'float32',
  recompute: false,
  dropout: 0,
  labelSmoothing: 0,
  accumulate: false,
  ...(process.argv[2] === undefined ? {} : { lossRows: Number(process.argv[2]) }),
});
const session = await nodeRuntime().compile(graph, 'gradient', { threads: 1 });
const parameters = initializeParameters(parametersOf(model), 1);
const ids = BigInt64Array.from({ length: rows }, (_, i) => BigInt((i * 7919) % vocabularySize));
const feeds = {
  ...Object.fromEntries(
    parametersOf(model).map(({ name, shape }) => [name, floatTensor(parameters.get(name)!, shape)]),
  ),
  input: intTensor(ids, [2, rows / 2]),
  targets: intTensor(ids, [rows]),
  weights: floatTensor(new Float32Array(rows).fill(1), [rows, 1]),
  lossWeight: floatTensor(Float32Array.of(1 / rows), []),
};
const peak = (): number => process.resourceUsage().maxRSS * 1024;
const before = peak();
await session.run(feeds);
console.log(JSON.stringify({ before, after: peak(), logits: 4 * rows * vocabularySize }));
