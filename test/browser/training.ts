import { batchesOf } from '../../src/ml/data/batches.ts';
import { streamOf } from '../../src/ml/data/token-stream.ts';
import type { Runtime } from '../../src/ml/engine/session.ts';
import { type LanguageConfig, parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import type { InnerOptimizer } from '../../src/ml/training/optimizer.ts';
import { Trainer } from '../../src/ml/training/trainer.ts';

/** What is trained, the same in Node and in a browser. */
export interface Work {
  readonly model: LanguageConfig;
  readonly optimizer: 'adamw' | 'muon';
  readonly tokens: Uint32Array;
  readonly batchSize: number;
  readonly steps: number;
  readonly microBatches?: number;
}

export interface Outcome {
  readonly losses: readonly number[];
  /** Over all steps but the first. */
  readonly tokensPerS: number;
  /** Mean loss on a batch after the last step, and the sum of all parameters. */
  readonly evaluated: number;
  readonly parameterSum: number;
}

export async function train(runtime: Runtime, work: Work, threads: number): Promise<Outcome> {
  const { model, tokens, batchSize, steps, microBatches = 1 } = work;
  const adam = { rate: 0.01, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
  const optimizer: InnerOptimizer =
    work.optimizer === 'muon' ? { kind: 'muon', ...adam, momentum: 0.95, adamRate: 0.01 } : { kind: 'adamw', ...adam };
  const schedule = { warmUpSteps: 5, totalSteps: steps, finalShare: 0.1 };
  const trainer = await Trainer.create(
    { runtime, model, optimizer, schedule, batchSize, clipNorm: 1, threads, microBatches },
    initializeParameters(parametersOf(model), 1),
  );
  const batches = batchesOf(streamOf(tokens), batchSize, model.contextLength, 1);
  const take = (step: number) =>
    trainer.step(...Array.from({ length: microBatches }, (_, i) => batches(step * microBatches + i)));
  const losses = [(await take(0)).loss];
  const startMs = performance.now();
  for (let step = 1; step < steps; step++) losses.push((await take(step)).loss);
  const seconds = (performance.now() - startMs) / 1000;
  const names = trainer.specs.map((spec) => spec.name);
  await trainer.write(await trainer.read(names));
  const { lossSum, tokens: count } = await trainer.evaluate([batches(1000)]);
  const parameters = await trainer.read(names);
  const parameterSum = [...parameters.values()].reduce((sum, data) => sum + data.reduce((a, b) => a + b, 0), 0);
  await trainer.release();
  const tokensPerS = ((steps - 1) * microBatches * batchSize * model.contextLength) / seconds;
  return { losses, tokensPerS, evaluated: lossSum / count, parameterSum };
}
