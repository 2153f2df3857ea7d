/** Prints the most memory, in bytes, that `memory.ts plan` says a run needs, or that `memory.ts train` has in an island's work. */
import { measureSpeed, randomBatch } from '../../src/cli/benchmark.ts';
import { nodeRuntime } from '../../src/ml/engine/node-runtime.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { Trainer } from '../../src/ml/training/trainer.ts';

const model = {
  architecture: 'gpt2',
  vocabularySize: 49_152,
  contextLength: 512,
  width: 64,
  layers: 1,
  heads: 1,
} as const;
const training = {
  model,
  optimizer: { kind: 'adamw', rate: 1e-3, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 },
  schedule: { warmUpSteps: 0, totalSteps: 10, finalShare: 1 },
  batchSize: 4,
  clipNorm: 1,
} as const;

async function train(): Promise<number> {
  const parameters = initializeParameters(parametersOf(model), 1);
  const trainer = await Trainer.create({ ...training, runtime: nodeRuntime(), threads: 1 }, parameters);
  const batch = randomBatch(model, training.batchSize);
  for (let round = 0; round < 3; round++) {
    await trainer.step(batch);
    await trainer.write(await trainer.read(trainer.specs.map(({ name }) => name)));
    await trainer.evaluate([batch]);
  }
  return process.resourceUsage().maxRSS * 1024;
}

console.log(process.argv[2] === 'plan' ? (await measureSpeed(training, 1, 1)).peakMemoryBytes : await train());
