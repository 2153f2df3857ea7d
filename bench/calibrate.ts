/**
 * Measures inner and outer settings against each other at equal steps: the table in
 * docs/decisions/0006-quickstart-calibration.md. All islands take their turns in this one process; the rules are
 * those of the rooms `ml` and `outer`.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { batchesOf, evaluationBatches } from '../src/ml/data/batches.ts';
import { trainBpe } from '../src/ml/data/bpe-training.ts';
import { readDocuments, shardOf, splitCorpus } from '../src/ml/data/corpus.ts';
import { loadTokenizer, tokenize } from '../src/ml/data/tokenizer.ts';
import { gpt2Parameters } from '../src/ml/models/gpt2.ts';
import { initializeParameters, type ParameterArrays } from '../src/ml/tensor/parameters.ts';
import type { InnerOptimizer } from '../src/ml/training/optimizer.ts';
import { Trainer } from '../src/ml/training/trainer.ts';
import { cutIntoFragments, pack, unpack } from '../src/outer/fragments.ts';
import { type GlobalFragment, mergeFragment } from '../src/outer/merge.ts';
import type { Averaging } from '../src/outer/settings.ts';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '200' },
    layers: { type: 'string', default: '5' },
    width: { type: 'string', default: '128' },
    heads: { type: 'string', default: '4' },
    batch: { type: 'string', default: '8' },
    vocabulary: { type: 'string', default: '1024' },
    only: { type: 'string', default: '' },
    threads: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
  },
});
const steps = Number(values.steps);
const batch = Number(values.batch);
const context = 128;
const adam = { betas: [0.9, 0.95] as const, epsilon: 1e-8, weightDecay: 0.1 };
const muon = (rate: number, adamRate: number): InnerOptimizer => ({
  kind: 'muon',
  rate,
  momentum: 0.95,
  adamRate,
  ...adam,
});
const adamw = (rate: number): InnerOptimizer => ({ kind: 'adamw', rate, ...adam });

interface Trial {
  readonly name: string;
  readonly islands: number;
  readonly inner: InnerOptimizer;
  readonly innerSteps: number;
  readonly rate: number;
  readonly momentum: number;
  readonly averaging?: Averaging;
}

const best = { islands: 4, innerSteps: 10, rate: 0.9, momentum: 0.5, inner: muon(0.03, 0.006) };
const together = { ...best, innerSteps: steps, rate: 1, momentum: 0 };
const trials: readonly Trial[] = [
  { ...together, name: 'one island alone, Muon 0.03', islands: 1 },
  { ...together, name: 'one island alone, AdamW 0.004', islands: 1, inner: adamw(0.004) },
  { ...together, name: 'synchronous, Muon 0.03', islands: 0 },
  { ...together, name: 'synchronous, Muon 0.045', islands: 0, inner: muon(0.045, 0.009) },
  { ...best, name: '4 islands, Muon 0.02', inner: muon(0.02, 0.004) },
  { ...best, name: '4 islands, Muon 0.03' },
  { ...best, name: '4 islands, Muon 0.045', inner: muon(0.045, 0.009) },
  { ...best, name: '4 islands, Muon 0.03, H 5', innerSteps: 5 },
  { ...best, name: '4 islands, Muon 0.03, H 20', innerSteps: 20 },
  { ...best, name: '4 islands, Muon 0.03, η 1.0 μ 0.0', rate: 1, momentum: 0 },
  { ...best, name: '4 islands, Muon 0.03, η 0.9 μ 0.3', momentum: 0.3 },
  { ...best, name: '4 islands, Muon 0.03, η 0.9 μ 0.6', momentum: 0.6 },
  { ...best, name: '4 islands, Muon 0.03, η 0.7 μ 0.9', rate: 0.7, momentum: 0.9 },
  { ...best, name: '4 islands, Muon 0.03, radial', averaging: 'radial-directional' },
  { ...best, name: '4 islands, AdamW 0.004', inner: adamw(0.004) },
];

const documents = readDocuments(['data/austen/*.txt'], path.resolve(import.meta.dirname, '..'));
const corpus = splitCorpus(documents, 0.1);
const tokenizer = loadTokenizer(
  JSON.stringify(
    trainBpe(
      corpus.training.map((d) => d.text),
      Number(values.vocabulary),
    ),
  ),
  'tokenizer',
);
const model = {
  architecture: 'gpt2',
  vocabularySize: tokenizer.vocabularySize,
  contextLength: context,
  width: Number(values.width),
  layers: Number(values.layers),
  heads: Number(values.heads),
} as const;
const heldOut = tokenize(tokenizer, corpus.validation);
const shards = Array.from({ length: 4 }, (_, i) => tokenize(tokenizer, shardOf(corpus.training, i, 4)));
const everything = tokenize(tokenizer, corpus.training);
const specs = gpt2Parameters(model);
const [fragment] = cutIntoFragments(
  specs.map((s) => ({
    name: s.name,
    elements: s.shape.reduce((a, b) => a * b, 1),
    role: s.role === 'embedding' ? 'embedding' : 'other',
  })),
  1,
);

async function run(trial: Trial): Promise<number> {
  const together = trial.islands === 0;
  const count = together ? 1 : trial.islands;
  const batchSize = together ? 4 * batch : batch;
  const initial: ParameterArrays = initializeParameters(specs, Number(values.seed));
  const islands = await Promise.all(
    Array.from({ length: count }, () =>
      Trainer.create(
        {
          model,
          optimizer: trial.inner,
          schedule: { warmUpSteps: 20, totalSteps: steps, finalShare: 0.05 },
          batchSize,
          clipNorm: 1,
          threads: Number(values.threads),
        },
        initial,
      ),
    ),
  );
  const sources = islands.map((_, i) => batchesOf(count === 4 ? shards[i]! : everything, batchSize, context, 100 + i));
  let global: GlobalFragment = { parameters: pack(fragment!, initial), velocity: new Float32Array(fragment!.elements) };
  for (let step = 0; step < steps; step += trial.innerSteps) {
    const contributions = [];
    for (const [i, island] of islands.entries()) {
      for (let k = 0; k < trial.innerSteps; k++) await island.step(sources[i]!(step + k));
      contributions.push({ weight: 1, parameters: pack(fragment!, island.read(specs.map((s) => s.name))) });
    }
    global = mergeFragment(fragment!, global, contributions, { averaging: 'mean', ...trial });
    for (const island of islands)
      island.write(new Map([...unpack(fragment!, global.parameters)].map(([n, a]) => [n, a.slice()])));
  }
  const { lossSum, tokens } = await islands[0]!.evaluate(evaluationBatches(heldOut, batchSize, context, 32_768));
  for (const island of islands) await island.release();
  return lossSum / tokens;
}

console.log(
  `steps ${steps}, batch ${batch} × ${context}, ${specs.reduce((n, s) => n + s.shape.reduce((a, b) => a * b, 1), 0)} parameters, seed ${values.seed}`,
);
for (const trial of trials.filter((t) => t.name.includes(values.only))) {
  const started = performance.now();
  const loss = await run(trial);
  console.log(`${trial.name.padEnd(44)} ${loss.toFixed(4)}  ${((performance.now() - started) / 1000).toFixed(0)} s`);
}
