/** Our side of `npm run bench engine`: the contract of engine_pytorch.py, and the inner optimizer as an eighth argument. */
import { createInterface } from 'node:readline';
import { benchmarkTrainer, randomBatch } from '../src/cli/benchmark.ts';
import { gpt2Parameters } from '../src/ml/models/gpt2.ts';
import { countParameters } from '../src/ml/tensor/parameters.ts';

type Sizes = [number, number, number, number, number, number, number];
const [layers, width, heads, contextLength, batchSize, vocabularySize, threads] = process.argv
  .slice(2, 9)
  .map(Number) as Sizes;
const model = { architecture: 'gpt2', layers, width, heads, contextLength, vocabularySize } as const;
const adam = { rate: 1e-3, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
const muon = { kind: 'muon', ...adam, momentum: 0.95, adamRate: 1e-3 } as const;
const optimizer = process.argv[9] === 'muon' ? muon : ({ kind: 'adamw', ...adam } as const);
const trainer = await benchmarkTrainer(model, optimizer, batchSize, threads);
const batch = randomBatch(model, batchSize);

await trainer.step(batch);
console.log(JSON.stringify({ version: 'heliotrope', parameters: countParameters(gpt2Parameters(model)) }));
for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line.split(' ')[1]);
  const startMs = performance.now();
  for (let i = 0; i < steps; i++) await trainer.step(batch);
  const seconds = (performance.now() - startMs) / 1000;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ tokensPerS: (steps * batch.count) / seconds, peakMemoryBytes }));
}
