import { describe, expect, it } from 'vitest';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { floatsOf, intTensor } from '../../../src/ml/engine/session.ts';
import { loadWeights } from '../../../src/ml/models/hugging-face.ts';
import type { LanguageConfig } from '../../../src/ml/models/model.ts';
import { seededRandom } from '../../../src/ml/tensor/random.ts';
import { Generator, generate } from '../../../src/ml/training/generate.ts';
import { draw } from '../../../src/ml/training/sampling.ts';
import { outputsGraph } from '../../../src/ml/training/training-graph.ts';
import { FIXTURES, feedsOf, runOnce } from '../models/reference.ts';

describe.each(['llama', 'gpt2'])('a %s that writes token by token', (architecture) => {
  const { model, parameters } = loadWeights(`${FIXTURES}/transformers-${architecture}`);
  const language = model as LanguageConfig;
  const context = language.contextLength;

  /** The likeliest token after `ids`, by the whole forward pass. */
  async function likeliest(ids: readonly number[]): Promise<number> {
    const tokens = new BigInt64Array(context);
    ids.forEach((id, i) => {
      tokens[i] = BigInt(id);
    });
    const input = intTensor(tokens, [1, context]);
    const { outputs } = await runOnce(outputsGraph(model, 1), { ...feedsOf(model, parameters), input });
    const { vocabularySize } = language;
    return draw(
      floatsOf(outputs!).subarray((ids.length - 1) * vocabularySize, ids.length * vocabularySize),
      { temperature: 0 },
      0,
    );
  }

  it('says with its cache what the whole forward pass says, also past the end of the context', async () => {
    const generator = await Generator.create(nodeRuntime(), language, parameters, 1);
    const ids = [3, 14, 15];
    let window = [...ids];
    for await (const id of generator.continue(ids, { temperature: 0 }, 1)) {
      if (window.length > context) window = window.slice(-context / 2);
      expect(id).toBe(await likeliest(window));
      ids.push(id);
      window.push(id);
      if (ids.length > 2 * context) break;
    }
    await generator.release();
  });
});

describe('drawing', () => {
  const logits = Float32Array.from([0.1, 0.4, 0.3, 0.2], Math.log);
  const share = (options: { topK?: number; topP?: number; temperature?: number }): readonly number[] => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 1000; i++) counts[draw(logits, { temperature: 1, ...options }, (i + 0.5) / 1000)]! += 1;
    return counts.map((count) => Number((count / 1000).toFixed(2)));
  };

  it('follows the probabilities, sharper at a lower temperature', () => {
    expect(share({})).toEqual([0.1, 0.4, 0.3, 0.2]);
    expect(share({ temperature: 0.5 })).toEqual([0.03, 0.53, 0.3, 0.13]);
    expect(draw(logits, { temperature: 0 }, 0.99)).toBe(1);
  });

  it('leaves out all but the k likeliest', () => {
    expect(share({ topK: 2 })).toEqual([0, 0.57, 0.43, 0]);
    expect(share({ topK: 1 })).toEqual([0, 1, 0, 0]);
  });

  it('leaves out what is beyond the nucleus of probability p', () => {
    expect(share({ topP: 0.6 })).toEqual([0, 0.57, 0.43, 0]);
    expect(share({ topP: 0.71 })).toEqual([0, 0.44, 0.33, 0.22]);
    expect(share({ topP: 0 })).toEqual([0, 1, 0, 0]);
  });
});

describe('drawing from a vocabulary that is padded and has gaps', () => {
  it('draws what is known, whatever the others say', () => {
    const logits = Float32Array.of(1, 99, 2, 3, 99, 99);
    const known = Uint8Array.of(1, 0, 1, 1);
    for (const more of [{}, { topK: 3 }, { topP: 0.9 }, { topK: 2, topP: 0.99 }])
      for (let i = 0; i < 100; i++)
        expect([0, 2, 3]).toContain(draw(logits, { temperature: 5, known, ...more }, i / 100));
    expect(draw(logits, { temperature: 0, known }, 0)).toBe(3);
  });

  it.each([0.5, 4])('draws from 49,152 tokens what softmax says, of logits that spread by %d', (spread) => {
    const random = seededRandom(11);
    const logits = Float32Array.from({ length: 49_152 }, () => spread * random.normal());
    const weights = Float64Array.from(logits, (x) => Math.exp(x / 0.7));
    const total = weights.reduce((sum, x) => sum + x, 0);
    const upTo = (index: number): number => weights.subarray(0, index).reduce((sum, x) => sum + x, 0) / total;
    for (let i = 0; i < 50; i++) {
      const u = random.uniform();
      const drawn = draw(logits, { temperature: 0.7 }, u);
      expect(upTo(drawn)).toBeLessThan(u + 1e-9);
      expect(upTo(drawn + 1)).toBeGreaterThan(u - 1e-9);
    }
  });

  it('leaves the likeliest alone where all are alike', () => {
    const logits = new Float32Array(1_000).fill(2);
    const drawn = (options: { topK?: number; topP?: number }): Set<number> =>
      new Set(Array.from({ length: 200 }, (_, i) => draw(logits, { temperature: 1, ...options }, i / 200)));
    // Of equally likely ones those of smaller indices.
    expect(drawn({ topK: 3 })).toEqual(new Set([0, 1, 2]));
    expect(drawn({ topP: 0.0035 })).toEqual(new Set([0, 1, 2, 3]));
    expect(drawn({ topK: 4, topP: 0.5 })).toEqual(new Set([0, 1]));
  });

  it('draws as it does from a sorted list', () => {
    const random = seededRandom(7);
    const logits = Float32Array.from({ length: 500 }, () => 3 * random.uniform());
    const sorted = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
    const weight = (i: number): number => Math.exp(logits[i]! - logits[sorted[0]!]!);
    for (const [topK, topP] of [
      [40, 1],
      [500, 0.5],
      [40, 0.7],
    ] as const) {
      const first = sorted.slice(0, topK);
      const total = first.reduce((sum, i) => sum + weight(i), 0);
      let kept = 0;
      for (let sum = 0; sum < topP * total && kept < first.length; kept++) sum += weight(first[kept]!);
      const drawn = new Set(
        Array.from({ length: 5_000 }, (_, i) => draw(logits, { temperature: 1, topK, topP }, i / 5_000)),
      );
      expect(drawn).toEqual(new Set(first.slice(0, kept)));
    }
  });
});

describe('generating text', () => {
  it('says no token that its tokenizer has not', async () => {
    // 20 words for a model of 48 rows, one id without a word among them.
    const vocab = Object.fromEntries(['[SEP]', ...'abcdefghijklmnopqrs'].map((word, i) => [word, i < 9 ? i : i + 1]));
    const json = { added_tokens: [], model: { type: 'WordPiece', vocab, unk_token: '[SEP]' }, decoder: null };
    const tokenizer = loadTokenizer(JSON.stringify(json), 'test', { endOfText: '[SEP]' });
    const { model, parameters } = loadWeights(`${FIXTURES}/transformers-llama`);
    const options = { prompt: 'a', tokens: 60, temperature: 9, seed: 1, threads: 1 };
    const text = await generate(nodeRuntime(), model as LanguageConfig, parameters, tokenizer, options);
    expect(text).toMatch(/^a( [a-s])+$/);
  });

  it('yields whole characters, though a token may hold a part of one', async () => {
    const tokenizer = loadTokenizer(JSON.stringify(trainBpe(['ééééé'], 257)), 'test');
    const { model, parameters } = loadWeights(`${FIXTURES}/transformers-gpt2`);
    // A vocabulary of bytes on a model of 48 tokens: only the first 48 can be drawn, all of them printable.
    const options = { prompt: '!"', tokens: 20, temperature: 1, seed: 3, threads: 1 };
    const text = await generate(nodeRuntime(), model as LanguageConfig, parameters, tokenizer, options);
    expect(text.startsWith('!"')).toBe(true);
    expect(text).toHaveLength(22);
    expect(text).toBe(await generate(nodeRuntime(), model as LanguageConfig, parameters, tokenizer, options));
    const other = await generate(nodeRuntime(), model as LanguageConfig, parameters, tokenizer, {
      ...options,
      seed: 4,
    });
    expect(other).not.toBe(text);
  });
});
