/**
 * Our side of `npm run bench engine`: the contract of engine_pytorch.py. Arguments: the same JSON object, then options
 * of the trainer as JSON.
 */
import { createInterface } from 'node:readline';
import { benchmarkTrainer, randomBatch } from '../src/cli/benchmark.ts';
import type { ModelConfig } from '../src/ml/models/model.ts';
import type { InnerOptimizer } from '../src/ml/training/optimizer.ts';
import type { TrainerOptions } from '../src/ml/training/trainer.ts';

const { model, batch, threads, optimizer } = JSON.parse(process.argv[2]!) as {
  model: ModelConfig;
  batch: number;
  threads: number;
  optimizer: 'adamw' | 'muon';
};
const adam = { rate: 1e-3, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
const inner: InnerOptimizer =
  optimizer === 'muon' ? { kind: 'muon', ...adam, momentum: 0.95, adamRate: 1e-3 } : { kind: 'adamw', ...adam };
const options = JSON.parse(process.argv[3] ?? '{}') as Partial<TrainerOptions>;
const trainer = await benchmarkTrainer(model, inner, batch, threads, options);
const data = randomBatch(model, batch);

await trainer.step(data);
console.log(JSON.stringify({ version: 'heliotrope' }));
for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line.split(' ')[1]);
  const startMs = performance.now();
  for (let i = 0; i < steps; i++) await trainer.step(data);
  const seconds = (performance.now() - startMs) / 1000;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ perS: (steps * data.count) / seconds, peakMemoryBytes }));
}
await trainer.release();
