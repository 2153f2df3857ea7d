/** Our side of `npm run bench engine`: the contract of engine_pytorch.py. */
import { createInterface } from 'node:readline';
import { gpt2Parameters } from '../src/ml/models/gpt2.ts';
import { countParameters, initializeParameters } from '../src/ml/tensor/parameters.ts';
import { seededRandom } from '../src/ml/tensor/random.ts';
import { Trainer } from '../src/ml/training/trainer.ts';

const [layers, width, heads, contextLength, batchSize, vocabularySize, threads] = process.argv
  .slice(2, 9)
  .map(Number) as [number, number, number, number, number, number, number];
const optimizerKind = process.argv[9] ?? 'adamw';
const model = { architecture: 'gpt2', layers, width, heads, contextLength, vocabularySize } as const;
const adam = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
const trainer = await Trainer.create(
  {
    model,
    optimizer:
      optimizerKind === 'muon'
        ? { kind: 'muon', rate: 0.02, momentum: 0.95, adamRate: 1e-3, ...adam }
        : { kind: 'adamw', rate: 1e-3, ...adam },
    schedule: { warmUpSteps: 0, totalSteps: 1, finalShare: 1 },
    batchSize,
    clipNorm: 1,
    threads,
  },
  initializeParameters(gpt2Parameters(model), 1),
);
const random = seededRandom(1);
const count = batchSize * contextLength;
const ids = (): BigInt64Array => BigInt64Array.from({ length: count }, () => BigInt(random.integer(vocabularySize)));
const batch = { tokens: ids(), targets: ids(), shape: [batchSize, contextLength] } as const;

await trainer.step(batch);
console.log(JSON.stringify({ version: 'heliotrope', parameters: countParameters(gpt2Parameters(model)) }));
for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line.split(' ')[1]);
  const startMs = performance.now();
  for (let i = 0; i < steps; i++) await trainer.step(batch);
  const seconds = (performance.now() - startMs) / 1000;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ tokensPerS: (steps * count) / seconds, peakMemoryBytes }));
}
