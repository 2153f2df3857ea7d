import path from 'node:path';
import { fragmentsOf } from '../src/island/layout.ts';
import { batchesOf, evaluationBatches } from '../src/ml/data/batches.ts';
import { trainBpe } from '../src/ml/data/bpe-training.ts';
import { openCorpus } from '../src/ml/data/corpus.ts';
import { tokenize } from '../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../src/ml/data/tokenizer.ts';
import { nodeRuntime } from '../src/ml/engine/node-runtime.ts';
import { llamaHiddenWidth } from '../src/ml/models/llama.ts';
import { type LanguageConfig, parametersOf } from '../src/ml/models/model.ts';
import { initializeParameters } from '../src/ml/tensor/parameters.ts';
import type { InnerOptimizer } from '../src/ml/training/optimizer.ts';
import { Trainer } from '../src/ml/training/trainer.ts';
import { pack, unpack } from '../src/outer/fragments.ts';
import { mergeFragment } from '../src/outer/merge.ts';
import { freshFragment } from '../src/outer/outer-optimizer.ts';
import type { Averaging } from '../src/outer/settings.ts';
import { STRATEGIES } from '../src/outer/settings.ts';
import { type Figure, publish } from './figures.ts';

/**
 * Inner and outer settings against each other at equal steps, on the quickstart's model and text: the table in
 * docs/decisions/0006-quickstart-calibration.md. All islands take their turns in this one process; the rules are those of
 * the rooms `ml` and `outer`.
 */

const [LAYERS, WIDTH, HEADS, CONTEXT, BATCH, VOCABULARY] = [5, 128, 4, 128, 8, 1024];
const ISLANDS = 4;
const SEED = 1;

/** islands: each on its own shard · alone: one, on all the text · synchronous: one with the batches of all together. */
interface Trial {
  readonly name: string;
  readonly who: 'islands' | 'alone' | 'synchronous';
  readonly inner: InnerOptimizer;
  readonly innerSteps: number;
  readonly rate: number;
  readonly momentum: number;
  readonly averaging: Averaging;
}

const adam = { betas: [0.9, 0.95] as const, epsilon: 1e-8, weightDecay: 0.1 };
const muon = (rate: number): InnerOptimizer => ({ kind: 'muon', rate, momentum: 0.95, adamRate: rate / 5, ...adam });
/** Newton–Schulz steps as Muon's source has them. */
const fiveSteps: InnerOptimizer = { ...muon(0.03), newtonSchulzSteps: 5 } as InnerOptimizer;
const adamw = (rate: number): InnerOptimizer => ({ kind: 'adamw', rate, ...adam });

const best = {
  who: 'islands',
  inner: muon(0.03),
  innerSteps: 10,
  rate: 0.9,
  momentum: 0.5,
  averaging: 'mean',
} as const;
const whole = { ...best, innerSteps: Number.POSITIVE_INFINITY, rate: 1, momentum: 0 } as const;
const trials: readonly Trial[] = [
  { ...whole, name: 'one island alone, Muon 0.03', who: 'alone' },
  { ...whole, name: 'one island alone, AdamW 0.004', who: 'alone', inner: adamw(0.004) },
  { ...whole, name: 'synchronous, Muon 0.03', who: 'synchronous' },
  { ...whole, name: 'synchronous, Muon 0.045', who: 'synchronous', inner: muon(0.045) },
  { ...whole, name: 'one island alone, Muon 0.03, 5 steps', who: 'alone', inner: fiveSteps },
  { ...whole, name: 'synchronous, Muon 0.03, 5 steps', who: 'synchronous', inner: fiveSteps },
  { ...best, name: '4 islands, Muon 0.03, 5 steps', inner: fiveSteps },
  { ...best, name: '4 islands, Muon 0.02', inner: muon(0.02) },
  { ...best, name: '4 islands, Muon 0.03' },
  { ...best, name: '4 islands, Muon 0.045', inner: muon(0.045) },
  { ...best, name: '4 islands, Muon 0.03, H 5', innerSteps: 5 },
  { ...best, name: '4 islands, Muon 0.03, H 20', innerSteps: 20 },
  { ...best, name: '4 islands, Muon 0.03, η 1.0 μ 0.0', rate: 1, momentum: 0 },
  { ...best, name: '4 islands, Muon 0.03, η 0.9 μ 0.3', momentum: 0.3 },
  { ...best, name: '4 islands, Muon 0.03, η 0.9 μ 0.6', momentum: 0.6 },
  { ...best, name: '4 islands, Muon 0.03, η 0.7 μ 0.9', rate: 0.7, momentum: 0.9 },
  { ...best, name: '4 islands, Muon 0.03, radial–directional', averaging: 'radial-directional' },
  { ...best, name: '4 islands, AdamW 0.004', inner: adamw(0.004) },
];

export async function calibrate({
  short,
  json,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
}): Promise<boolean> {
  const startedAt = new Date();
  const steps = short ? 40 : 200;
  const setting = prepare();
  const figures: Figure[] = [];
  for (const trial of trials) {
    console.error(`${trial.name} …`);
    const value = await run(setting, trial, steps);
    const id = `calibrate.${steps}-steps.${trial.name.toLowerCase().replaceAll(/[^a-zημ0-9.]+/g, '-')}`;
    figures.push({ id, value, unit: 'nats/token', target: null, met: null, note: '' });
  }
  publish('calibrate', startedAt, figures, json);
  return true;
}

function prepare() {
  const corpus = openCorpus(['data/austen/*.txt'], path.resolve(import.meta.dirname, '..'), 0.1);
  const json = JSON.stringify(
    trainBpe(
      Array.from(corpus.training.documents(), (d) => d.text),
      VOCABULARY,
    ),
  );
  const tokenizer = loadTokenizer(json, 'the tokenizer');
  const stream = (passages: typeof corpus.training) => tokenize(tokenizer, passages.documents()).tokens;
  const model: LanguageConfig = {
    architecture: 'llama',
    vocabularySize: VOCABULARY,
    contextLength: CONTEXT,
    width: WIDTH,
    layers: LAYERS,
    heads: HEADS,
    keyValueHeads: HEADS,
    hiddenWidth: llamaHiddenWidth(WIDTH),
    tied: true,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
  };
  return {
    model,
    heldOut: stream(corpus.validation),
    everything: stream(corpus.training),
    shards: Array.from({ length: ISLANDS }, (_, i) => stream(corpus.shard(i, ISLANDS))),
    fragment: fragmentsOf(model, 1)[0]!,
  };
}

/** @returns validation loss of the merged model after `steps` */
async function run(
  { model, heldOut, everything, shards, fragment }: ReturnType<typeof prepare>,
  trial: Trial,
  steps: number,
): Promise<number> {
  const innerSteps = Math.min(steps, trial.innerSteps);
  const batchSize = trial.who === 'synchronous' ? ISLANDS * BATCH : BATCH;
  const streams = trial.who === 'islands' ? shards : [everything];
  const names = fragment.tensors.map((t) => t.name);
  const initial = initializeParameters(parametersOf(model), SEED);
  const schedule = { warmUpSteps: 20, totalSteps: steps, finalShare: 0.05 };
  const trainers = await Promise.all(
    streams.map(() =>
      Trainer.create(
        { runtime: nodeRuntime(), model, optimizer: trial.inner, schedule, batchSize, clipNorm: 1, threads: 2 },
        initial,
      ),
    ),
  );
  const sources = streams.map((stream, i) => batchesOf(stream, batchSize, CONTEXT, 100 + i));
  const rule = { ...STRATEGIES.diloco, ...trial };
  let global = freshFragment(pack(fragment, initial), rule);
  for (let step = 0; step < steps; step += innerSteps) {
    const contributions = [];
    for (const [i, trainer] of trainers.entries()) {
      for (let k = 0; k < innerSteps; k++) await trainer.step(sources[i]!(step + k));
      contributions.push({ weight: 1, parameters: pack(fragment, await trainer.read(names)) });
    }
    global = mergeFragment(fragment, global, contributions, rule);
    for (const trainer of trainers) await trainer.write(unpack(fragment, global.parameters.slice()));
  }
  const { lossSum, tokens } = await trainers[0]!.evaluate(evaluationBatches(heldOut, batchSize, CONTEXT, 32_768));
  for (const trainer of trainers) await trainer.release();
  return lossSum / tokens;
}
