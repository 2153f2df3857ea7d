import type { Batch } from '../ml/data/batches.ts';
import { type Gpt2Config, gpt2Parameters } from '../ml/models/gpt2.ts';
import { initializeParameters } from '../ml/tensor/parameters.ts';
import { seededRandom } from '../ml/tensor/random.ts';
import type { InnerOptimizer } from '../ml/training/optimizer.ts';
import { Trainer } from '../ml/training/trainer.ts';

/** A trainer and a batch of random tokens for it, both from fixed seeds. */
export async function benchmarkTrainer(
  model: Gpt2Config,
  optimizer: InnerOptimizer,
  batchSize: number,
  threads: number,
): Promise<{ readonly trainer: Trainer; readonly batch: Batch }> {
  const schedule = { warmUpSteps: 10, totalSteps: 1000, finalShare: 1 };
  const parameters = initializeParameters(gpt2Parameters(model), 1);
  const trainer = await Trainer.create({ model, optimizer, schedule, batchSize, clipNorm: 1, threads }, parameters);
  const random = seededRandom(1);
  const count = batchSize * model.contextLength;
  const ids = (): BigInt64Array =>
    BigInt64Array.from({ length: count }, () => BigInt(random.integer(model.vocabularySize)));
  return { trainer, batch: { tokens: ids(), targets: ids(), shape: [batchSize, model.contextLength] } };
}

/** Trains a few steps on random tokens. Speed is the median step's. */
export async function measureSpeed(
  model: Gpt2Config,
  optimizer: InnerOptimizer,
  batchSize: number,
  threads: number,
  steps = 5,
): Promise<{ readonly tokensPerS: number; readonly peakMemoryBytes: number }> {
  const { trainer, batch } = await benchmarkTrainer(model, optimizer, batchSize, threads);
  await trainer.step(batch);
  const seconds: number[] = [];
  for (let i = 0; i < steps; i++) {
    const startMs = performance.now();
    await trainer.step(batch);
    seconds.push((performance.now() - startMs) / 1000);
  }
  await trainer.release();
  const median = seconds.toSorted((a, b) => a - b)[Math.floor(steps / 2)]!;
  return { tokensPerS: batch.tokens.length / median, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
}
