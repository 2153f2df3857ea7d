import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/cli/records.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { loadWeights, saveWeights } from '../../src/ml/models/hugging-face.ts';
import { type LanguageConfig, parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { folderOf } from '../ml/models/bases.ts';
import { ROOT, run, scratch } from './command.ts';

const folder = scratch();
const novel = path.join(ROOT, 'data/austen/emma.txt');
const VOCABULARY = 272;
/** As many as a byte-level tokenizer has: the vocabulary is padded by fifteen. */
const TOKENS = 257;

const train = async (name: string, content: object): Promise<Summary> => {
  const file = path.join(folder, `${name}.yaml`);
  const common = { data: novel, islands: 2, batch: 4, stop: { steps: 20 }, outer: { innerSteps: 10 } };
  writeFileSync(file, JSON.stringify({ name, ...common, ...content }));
  const { status, stdout, stderr } = await run(['train', file, '--json'], folder);
  expect([status, stderr.includes('crashed')], stderr).toEqual([0, false]);
  return JSON.parse(stdout) as Summary;
};
const config = (run: string) =>
  JSON.parse(readFileSync(path.join(folder, 'runs', run, 'config.json'), 'utf8')) as Record<string, unknown>;

/** A base as transformers saved it, but for more tokens, and a tokenizer beside it. */
function makeBase(name: string): void {
  const { model } = loadWeights(folderOf(name));
  const grown = { ...(model as LanguageConfig), vocabularySize: VOCABULARY };
  const place = path.join(folder, name);
  saveWeights(place, { model: grown, parameters: initializeParameters(parametersOf(grown), 1) });
  writeFileSync(path.join(place, 'tokenizer.json'), JSON.stringify(trainBpe(['to be'], TOKENS)));
}

describe.each([
  ['qwen3-biases', { num_hidden_layers: 2, head_dim: 8, attention_bias: true, num_key_value_heads: 1 }],
  ['mistral-window', { sliding_window: 5, tie_word_embeddings: true }],
  ['gpt2-unscaled', { scale_attn_weights: false }],
])('two islands go on with the base %s', { timeout: 240_000 }, (name, kept) => {
  beforeAll(() => makeBase(name));

  it('whole: at the context of the run file, with a vocabulary beyond the tokenizer, and saved as what it is', async () => {
    const inner = { optimizer: 'adamw', rate: 0.01, warmUpSteps: 2 };
    const summary = await train(`${name}-whole`, { model: { base: name }, context: 4, inner });
    expect(summary.validationLoss.after!).toBeLessThan(summary.validationLoss.before! - 0.2);
    const { model_type, bos_token_id } = JSON.parse(readFileSync(path.join(folderOf(name), 'config.json'), 'utf8'));
    const positions = name.startsWith('gpt2') ? { n_positions: 16 } : { max_position_embeddings: 16 };
    const saved = { ...kept, ...positions, model_type, vocab_size: VOCABULARY, bos_token_id };
    expect(config(`${name}-whole`)).toMatchObject(saved);
    const measured = JSON.parse((await run(['eval', `${name}-whole`, '--json'], folder)).stdout) as { loss: number };
    expect(measured.loss).toBeCloseTo(summary.validationLoss.after!, 4);
  });

  it('adapters alone: the base is sent to islands, and goes into the model that is saved', async () => {
    const inner = { optimizer: 'adamw', rate: 0.02, warmUpSteps: 2 };
    const summary = await train(`${name}-lora`, { model: { base: name, lora: { rank: 2 } }, context: 4, inner });
    expect(summary.trainedParameters).toBeLessThan(summary.parameters / 2);
    expect(summary.validationLoss.after!).toBeLessThan(summary.validationLoss.before!);
    expect(config(`${name}-lora`)).toMatchObject(kept);
  });
});

describe('a context that the base has not', { timeout: 240_000 }, () => {
  it.each([
    ['gpt2-unscaled', 17, /context is 17, and the base has 16 positions.*16 or less/s],
    ['mistral-window', 6, /context 6 is longer than the 5 tokens back.*Set context to 5 or less/s],
  ])('%s: %i', async (name, context, message) => {
    makeBase(name);
    const file = path.join(folder, 'long.yaml');
    writeFileSync(
      file,
      JSON.stringify({ data: novel, model: { base: name }, context, islands: 1, stop: { steps: 1 } }),
    );
    const { status, stderr } = await run(['train', file], folder);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});
