import type { Batch } from '../ml/data/batches.ts';
import { nodeRuntime } from '../ml/engine/node-runtime.ts';
import { inputShapeOf, isLanguage, type ModelConfig, parametersOf } from '../ml/models/model.ts';
import { initializeParameters } from '../ml/tensor/parameters.ts';
import { seededRandom } from '../ml/tensor/random.ts';
import type { InnerOptimizer } from '../ml/training/optimizer.ts';
import { Trainer, type TrainerOptions } from '../ml/training/trainer.ts';
import { targetShapeOf } from '../ml/training/training-graph.ts';

/** A batch of random tokens, or of random numbers and classes, from a fixed seed. */
export function randomBatch(model: ModelConfig, batchSize: number): Batch {
  const random = seededRandom(1);
  const shape = inputShapeOf(model, batchSize);
  const targetShape = targetShapeOf(model, batchSize);
  const size = shape.reduce((product, d) => product * d, 1);
  const ids = (length: number, below: number): BigInt64Array =>
    BigInt64Array.from({ length }, () => BigInt(random.integer(below)));
  const classes = isLanguage(model) ? model.vocabularySize : model.outputs;
  return {
    input: isLanguage(model) ? ids(size, classes) : Float32Array.from({ length: size }, () => random.normal()),
    shape,
    targets: ids(targetShape[0]!, classes),
    targetShape,
    weights: new Float32Array(targetShape[0]!).fill(1),
    count: targetShape[0]!,
  };
}

/** A trainer with fresh parameters from a fixed seed. */
export function benchmarkTrainer(
  model: ModelConfig,
  optimizer: InnerOptimizer,
  batchSize: number,
  threads: number,
  more: Partial<TrainerOptions> = {},
): Promise<Trainer> {
  const schedule = { warmUpSteps: 10, totalSteps: 1000, finalShare: 1 };
  const parameters = initializeParameters(parametersOf(model), 1);
  return Trainer.create(
    { runtime: nodeRuntime(), model, optimizer, schedule, batchSize, clipNorm: 1, threads, ...more },
    parameters,
  );
}

/** Trains a few steps on random data. @returns tokens, or examples, a second in the median step */
export async function measureSpeed(
  training: Omit<TrainerOptions, 'runtime' | 'threads'>,
  threads: number,
  steps = 5,
): Promise<number> {
  const { model, batchSize } = training;
  const parameters = initializeParameters(parametersOf(model), 1);
  const trainer = await Trainer.create({ ...training, runtime: nodeRuntime(), threads }, parameters);
  const batch = randomBatch(model, batchSize);
  await trainer.step(batch);
  const seconds: number[] = [];
  for (let i = 0; i < steps; i++) {
    const startMs = performance.now();
    await trainer.step(batch);
    seconds.push((performance.now() - startMs) / 1000);
  }
  await trainer.release();
  return batch.count / seconds.toSorted((a, b) => a - b)[Math.floor(steps / 2)]!;
}
