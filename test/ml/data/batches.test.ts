import { mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchesOf, documentBatchesOf, evaluationBatches } from '../../../src/ml/data/batches.ts';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { openCorpus } from '../../../src/ml/data/corpus.ts';
import { permutation } from '../../../src/ml/data/permutation.ts';
import { encodeTokens, TokenFile } from '../../../src/ml/data/token-file.ts';
import { SILENT, streamOf } from '../../../src/ml/data/token-stream.ts';
import { tokenize, tokenizePassages } from '../../../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';

const numbers = Uint32Array.from({ length: 1000 }, (_, i) => i);
const stream = streamOf(numbers);
const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-batches-'));

describe('permutation', () => {
  it('visits every number once, for any count and seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), (count, seed) => {
        const at = permutation(count, seed);
        expect(new Set(Array.from({ length: count }, (_, i) => at(i))).size).toBe(count);
        expect(at(count - 1)).toBeLessThan(count);
      }),
    );
  });

  it('is another for another seed, and has no order left', () => {
    const at = (seed: number) => Array.from({ length: 1000 }, (_, i) => permutation(1000, seed, 3)(i));
    const order = at(1);
    expect(order).not.toEqual(at(2));
    const rising = order.slice(1).filter((x, i) => x > order[i]!).length;
    expect(rising).toBeGreaterThan(440);
    expect(rising).toBeLessThan(560);
    const displaced = order.reduce((sum, x, i) => sum + Math.abs(x - i), 0) / 1000;
    // A random permutation moves a number by a third of the count on average.
    expect(displaced).toBeGreaterThan(280);
    expect(displaced).toBeLessThan(390);
  });

  it('reaches any place of a huge set at once', () => {
    const at = permutation(2 ** 40, 5);
    const seen = Array.from({ length: 100 }, (_, i) => at(2 ** 39 + i));
    expect(new Set(seen).size).toBe(100);
    expect(Math.max(...seen)).toBeLessThan(2 ** 40);
  });
});

describe('batches', () => {
  it('visits every window of an epoch once, and shuffles anew in the next', () => {
    const source = batchesOf(stream, 3, 10, 1);
    const starts = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, i) => source(from + i)).flatMap((b) =>
        [0, 1, 2].map((row) => Number(b.input[row * 10])),
      );
    const first = starts(0, 33);
    const second = starts(33, 66);
    expect(new Set(first).size).toBe(99);
    expect(new Set(second).size).toBe(99);
    expect(second).not.toEqual(first);
  });

  it('is a function of the step alone', () => {
    const forwards = batchesOf(stream, 2, 16, 5);
    const jumping = batchesOf(stream, 2, 16, 5);
    jumping(90);
    expect(jumping(3)).toEqual(forwards(3));
    expect(batchesOf(stream, 2, 16, 6)(3)).not.toEqual(forwards(3));
  });

  it('has the next token as the target of each, and all count', () => {
    const { input, targets, weights, count } = batchesOf(stream, 2, 16, 5)(0);
    expect([...targets]).toEqual([...(input as BigInt64Array)].map((t) => t + 1n));
    expect([...weights]).toEqual(Array(32).fill(1));
    expect(count).toBe(32);
  });

  it('works on the shortest stream there may be', () => {
    const { input } = batchesOf(streamOf(numbers.subarray(0, 11)), 2, 10, 1)(7);
    expect([...input.subarray(0, 10)]).toEqual([...numbers.subarray(0, 10)].map(BigInt));
  });

  it('evaluates windows that are spread over the whole text; rows that fill up do not count', () => {
    const batches = [...evaluationBatches(stream, 2, 10, 50)];
    expect(batches.flatMap((b) => [Number(b.input[0]), Number(b.input[10])])).toEqual([0, 190, 390, 590, 790, 0]);
    expect(batches.map((b) => b.count)).toEqual([20, 20, 10]);
  });

  it('reads held-out windows only when they are asked for', () => {
    let reads = 0;
    const counted = {
      length: 1_000_000_000,
      read: (from: number, count: number) => {
        reads++;
        return new Uint32Array(count).fill(from % 7);
      },
    };
    const batches = evaluationBatches(counted, 4, 100, 500_000_000);
    expect([batches.length, reads]).toEqual([1_250_000, 0]);
    expect(batches.at(1_249_999)!.count).toBe(400);
    for (const batch of batches) {
      expect(batch.count).toBe(400);
      break;
    }
    expect([reads, batches.at(1_250_000)]).toEqual([8, undefined]);
  });

  it('leaves out what comes before the answer to a prompt', () => {
    const tokens = streamOf(Uint32Array.of(5, SILENT + 6, SILENT + 7, 8, 9));
    const { input, targets, weights, count } = evaluationBatches(tokens, 1, 4, 4).at(0)!;
    expect([...input]).toEqual([5n, 6n, 7n, 8n]);
    expect([...targets]).toEqual([6n, 7n, 8n, 9n]);
    expect([...weights]).toEqual([0, 0, 1, 1]);
    expect(count).toBe(2);
  });

  it('pads a document to the context, cuts a longer one, and never mixes two', () => {
    const tokens = streamOf(Uint32Array.of(1, 2, 99, 3, 4, 5, 6, 7, 8, 99));
    const source = documentBatchesOf(tokens, Float64Array.of(0, 3), 2, 4, 1);
    const rows = [0, 1].map((row) => [...source(0).input.subarray(row * 4, row * 4 + 4)].map(Number));
    expect(rows.toSorted((a, b) => a[0]! - b[0]!)).toEqual([
      [1, 2, 0, 0],
      [3, 4, 5, 6],
    ]);
    expect(source(0).count).toBe(2 + 4);
  });
});

describe('tokens in files', () => {
  it.each([2, 4] as const)('come back as they were, with %i bytes each', (bytesPerToken) => {
    const tokens = Uint32Array.of(0, 5, SILENT + 5, 32_767, SILENT + 32_767, 1);
    const file = path.join(folder, `tokens-${bytesPerToken}.bin`);
    writeFileSync(file, encodeTokens(tokens, bytesPerToken));
    const opened = new TokenFile(file, tokens.length, bytesPerToken);
    expect(opened.read(0, 6)).toEqual(tokens);
    expect(opened.read(2, 3)).toEqual(tokens.slice(2, 5));
    opened.close();
    expect(() => new TokenFile(file, 7, bytesPerToken)).toThrow(/bytes where .* belong/);
  });

  it('are made once for a text that is larger than memory, with progress, and used again', () => {
    const texts = Array.from({ length: 50 }, (_, i) => `Document ${i} says: ${'to be or not to be. '.repeat(i)}`);
    writeFileSync(path.join(folder, 'large.jsonl'), texts.map((text) => JSON.stringify({ text })).join('\n'));
    const tokenizer = loadTokenizer(JSON.stringify(trainBpe(texts, 270)), 'test');
    const passages = openCorpus(['large.jsonl'], folder, 0.1).training;
    const shares: number[] = [];
    const cache = path.join(folder, 'cache');
    const open = (key: string) =>
      tokenizePassages(tokenizer, passages, { folder: cache, key, memoryBytes: 10, onProgress: (s) => shares.push(s) });
    const [inFile, inMemory] = [open('a'), tokenize(tokenizer, passages.documents())];
    expect(inFile.tokens).toBeInstanceOf(TokenFile);
    expect(inFile.tokens.length).toBe(inMemory.tokens.length);
    expect(inFile.tokens.read(0, inFile.tokens.length)).toEqual(inMemory.tokens.read(0, inMemory.tokens.length));
    expect(inFile.documents).toEqual(inMemory.documents);
    expect(shares.length).toBeGreaterThan(40);
    expect(shares.at(-1)).toBeGreaterThan(0.8);
    const made = statSync(path.join(cache, 'tokens.bin')).mtimeMs;
    shares.length = 0;
    open('a');
    expect([shares.length, statSync(path.join(cache, 'tokens.bin')).mtimeMs]).toEqual([0, made]);
    open('b');
    expect(shares.length).toBeGreaterThan(0);
    // Tokenizing that breaks off leaves nothing that could be taken for whole: the next time it is done again.
    const breaking = {
      ...passages,
      *documents() {
        yield { source: 'x', text: 'a' };
        throw new Error('pulled the plug');
      },
    };
    const broken = { folder: cache, key: 'c', memoryBytes: 10 };
    expect(() => tokenizePassages(tokenizer, breaking, broken)).toThrow(/pulled the plug/);
    shares.length = 0;
    expect(open('b').tokens.length).toBe(inMemory.tokens.length);
    expect(shares.length).toBeGreaterThan(0);
    expect(readdirSync(cache).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
