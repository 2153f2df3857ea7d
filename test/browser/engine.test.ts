import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium } from '../../scripts/chromium.mjs';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { tokenize } from '../../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../../src/ml/data/tokenizer.ts';
import { nodeRuntime } from '../../src/ml/engine/node-runtime.ts';
import { type BrowserPage, openPage } from './browser.ts';
import { type Outcome, train, type Work } from './training.ts';

const novel = readFileSync(path.resolve(import.meta.dirname, '../../data/austen/persuasion.txt'), 'utf8').slice(
  0,
  40_000,
);
const tokenizer = loadTokenizer(JSON.stringify(trainBpe([novel], 300)), 'test');
const { tokens } = tokenize(tokenizer, [{ source: 'persuasion', text: novel }]);
const sizes = { vocabularySize: 300, contextLength: 32, width: 32, layers: 2, heads: 2 };
const gpt2: Work = {
  model: { architecture: 'gpt2', ...sizes },
  optimizer: 'adamw',
  tokens: tokens.read(0, tokens.length),
  batchSize: 4,
  steps: 100,
};
const llama: Work = {
  ...gpt2,
  model: {
    architecture: 'llama',
    ...sizes,
    keyValueHeads: 1,
    hiddenWidth: 96,
    tied: true,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
  },
  optimizer: 'muon',
};

/** Largest distance between two curves. */
const apart = (a: Outcome, b: Outcome): number =>
  Math.max(...a.losses.map((loss, i) => Math.abs(loss - b.losses[i]!)), Math.abs(a.evaluated - b.evaluated));

describe.skipIf(findChromium() === undefined)('the engine in a browser', () => {
  let page: BrowserPage;
  beforeAll(async () => {
    page = await openPage();
  });
  afterAll(() => page?.close());

  it.each([
    ['GPT-2 with AdamW', gpt2],
    ['Llama with Muon', llama],
  ])('trains %s in WebAssembly along the curve of Node, on one thread and on two', async (_, work) => {
    const here = await train(nodeRuntime(), work, 1);
    expect(here.losses.at(-1)!).toBeLessThan(here.losses[0]! - 1.2);
    for (const threads of [1, 2]) {
      const there = await page.work<Outcome>({ ...work, provider: 'wasm', threads });
      expect(there.losses).toHaveLength(100);
      expect(apart(there, here)).toBeLessThan(1e-3);
    }
  });

  it.each([
    ['GPT-2 with AdamW', { ...gpt2, steps: 8 }],
    ['Llama with Muon and micro-batches', { ...llama, steps: 6, batchSize: 2, microBatches: 2 }],
  ])('computes %s on WebGPU as in Node, with parameters that stay on the device', async (_, work) => {
    const here = await train(nodeRuntime(), work, 1);
    const there = await page.work<Outcome>({ ...work, provider: 'webgpu', threads: 1 });
    expect(apart(there, here)).toBeLessThan(1e-3);
    expect(there.parameterSum).toBeCloseTo(here.parameterSum, 1);
  });
});
