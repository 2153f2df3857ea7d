import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gguf } from '@huggingface/gguf';
import { afterAll, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/cli/records.ts';
import { loadWeights, saveWeights } from '../../src/ml/models/hugging-face.ts';
import { type LanguageConfig, parametersOf } from '../../src/ml/models/model.ts';
import { loadFolderTokenizer } from '../../src/ml/models/tokenizer-files.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { ROOT, run, scratch } from './command.ts';

/** Bases as users bring them: with a tokenizer of their own, and more rows in the embedding than it has tokens. */

const folder = scratch();
afterAll(() => rmSync(folder, { recursive: true }));
const fixture = (kind: string): string => path.join(ROOT, 'test/fixtures/tokenizers', kind);
const ROWS = 512;

/** A Llama with random weights and the tokenizer of a fixture. */
function base(kind: string): string {
  const place = path.join(folder, `base-${kind}`);
  const model: LanguageConfig = {
    architecture: 'llama',
    vocabularySize: ROWS,
    contextLength: 64,
    width: 32,
    layers: 1,
    heads: 2,
    keyValueHeads: 2,
    hiddenWidth: 64,
    tied: true,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
  };
  mkdirSync(place);
  saveWeights(place, { model, parameters: initializeParameters(parametersOf(model), 1) });
  cpSync(fixture(kind), place, { recursive: true });
  return place;
}

async function train(name: string, content: object): Promise<Summary> {
  const file = path.join(folder, `${name}.yaml`);
  writeFileSync(
    file,
    JSON.stringify({
      name,
      batch: 4,
      islands: 2,
      outer: { innerSteps: 5 },
      context: 32,
      evaluation: { tokens: 512 },
      sample: { tokens: 8 },
      stop: { steps: 5 },
      ...content,
    }),
  );
  const { status, stdout, stderr } = await run(['train', file, '--json'], folder);
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as Summary;
}

const novel = path.join(folder, 'novel.txt');
writeFileSync(novel, readFileSync(path.join(ROOT, 'data/austen/persuasion.txt'), 'utf8').slice(0, 40_000));

describe.each(['llama3', 'qwen'])('a base with a padded vocabulary and a tokenizer like that of %s', (kind) => {
  const place = base(kind);
  const { tokenizer } = loadFolderTokenizer(place);
  const trained = path.join(folder, 'runs', kind);

  it('is trained on by two islands, and keeps its rows and its tokenizer’s files byte for byte', async () => {
    expect(tokenizer.vocabularySize).toBeLessThan(ROWS);
    const summary = await train(kind, { model: { base: place }, data: novel });
    expect(summary.vocabularySize).toBe(ROWS);
    expect(loadWeights(trained).model).toMatchObject({ vocabularySize: ROWS });
    for (const file of readdirSync(fixture(kind)))
      expect(readFileSync(path.join(trained, file)), file).toEqual(readFileSync(path.join(fixture(kind), file)));
    const config = JSON.parse(readFileSync(path.join(trained, 'config.json'), 'utf8')) as object;
    const { special, idOf, endOfTextId } = tokenizer;
    expect(config).toMatchObject({
      eos_token_id: endOfTextId,
      bos_token_id: special.bos === undefined ? endOfTextId : idOf(special.bos),
    });
  });

  it('says tokens of its tokenizer only, and what it says is measured', async () => {
    const { stdout, status } = await run(
      ['sample', kind, '--prompt', 'It is', '--tokens', '60', '--temperature', '9', '--json'],
      folder,
    );
    expect(status).toBe(0);
    const { text } = JSON.parse(stdout) as { text: string };
    expect(text.startsWith('It is')).toBe(true);
    expect(text).not.toMatch(/undefined|\[PAD/);
    const measured = await run(['eval', kind, '--json'], folder);
    expect((JSON.parse(measured.stdout) as { loss: number }).loss).toBeGreaterThan(0);
  });

  it('is exported with its files, and to GGUF with rows that are no token', async () => {
    const out = path.join(folder, `for-transformers-${kind}`);
    await run(['export', kind, '--format', 'transformers', '--out', out], folder);
    for (const file of readdirSync(fixture(kind)))
      expect(readFileSync(path.join(out, file)), file).toEqual(readFileSync(path.join(fixture(kind), file)));
    const exported = await run(['export', kind, '--format', 'gguf', '--type', 'f32', '--json'], folder);
    expect(exported.status, exported.stderr).toBe(0);
    const { metadata } = await gguf((JSON.parse(exported.stdout) as { out: string }).out, { allowLocalFile: true });
    const tokens = (metadata as unknown as Readonly<Record<string, unknown>>)[
      'tokenizer.ggml.tokens'
    ] as readonly string[];
    expect([tokens.length, tokens.at(-1)]).toEqual([ROWS, `[PAD${ROWS - 1}]`]);
    expect(metadata).toMatchObject({ 'tokenizer.ggml.add_bos_token': kind === 'llama3' });
  });
});

describe('conversations', () => {
  it('are learned from by a base with a chat template, its turns alone', async () => {
    const chats = path.join(folder, 'chats.jsonl');
    const chat = (i: number): string =>
      JSON.stringify({
        messages: [
          { role: 'user', content: `What is ${i} + 1?` },
          { role: 'assistant', content: `It is ${i + 1}.` },
        ],
      });
    writeFileSync(chats, `${Array.from({ length: 60 }, (_, i) => chat(i)).join('\n')}\n`);
    const summary = await train('chats', {
      model: { base: base('smollm') },
      data: { paths: chats, packing: false },
      inner: { optimizer: 'adamw', rate: 0.01, warmUpSteps: 1 },
      context: 64,
      islands: 1,
      stop: { steps: 30 },
    });
    expect(summary.validationLoss.after!).toBeLessThan(summary.validationLoss.before! - 1);
  });
});

describe('a model that begins here with a tokenizer from elsewhere', () => {
  it.each(['llama2', 'bert'])('may have one without <|endoftext|>: like that of %s', async (kind) => {
    const summary = await train(`own-${kind}`, {
      model: { layers: 1, width: 32, heads: 2 },
      islands: 1,
      data: novel,
      tokenizer: { path: path.join(fixture(kind), 'tokenizer.json') },
    });
    const { tokenizer, beside } = loadFolderTokenizer(path.join(folder, 'runs', `own-${kind}`));
    expect(summary.vocabularySize).toBe(tokenizer.vocabularySize);
    expect(tokenizer.endOfText).toBe(kind === 'bert' ? '[SEP]' : '</s>');
    expect(beside['tokenizer_config.json']).toBe(
      readFileSync(path.join(fixture(kind), 'tokenizer_config.json'), 'utf8'),
    );
    const { status } = await run(['sample', `own-${kind}`, '--tokens', '5'], folder);
    expect(status).toBe(0);
  });
});
