import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { loadTokenizer, tokenize } from '../../../src/ml/data/tokenizer.ts';

const novel = path.resolve(import.meta.dirname, '../../../data/austen/persuasion.txt');
const corpus = readFileSync(novel, 'utf8').slice(0, 20_000);
const json = JSON.stringify(trainBpe([corpus], 280));

describe('byte-pair encoding', () => {
  it('merges the most frequent pair first, then what follows from it', () => {
    // Gage's example (1994), three times: "aa" leads with 4 a word.
    const { merges } = trainBpe(['aaabdaaabac '.repeat(3)], 260).model;
    expect(merges[0]).toBe('a a');
    expect(merges).toHaveLength(3);
  });

  it('has the vocabulary that was asked for, with the end of text last', () => {
    const tokenizer = loadTokenizer(json, 'test');
    expect(tokenizer.vocabularySize).toBe(280);
    expect(tokenizer.endOfTextId).toBe(279);
  });

  it('gives back any text, byte for byte', () => {
    const tokenizer = loadTokenizer(json, 'test');
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  it('makes text shorter than its bytes', () => {
    expect(loadTokenizer(json, 'test').encode(corpus).length).toBeLessThan(0.8 * corpus.length);
  });

  it('says how many tokens a corpus supports when asked for more', () => {
    expect(() => trainBpe(['ab ab ab'], 1000)).toThrow(
      /vocabularySize 1000 is more than the corpus supports: .* for (\d+) tokens.*at most \1,/s,
    );
  });

  it('refuses a foreign tokenizer.json', () => {
    expect(() => loadTokenizer('{"a": 1}', 'x.json')).toThrow(/x\.json is not a tokenizer that can be used/);
    expect(() => loadTokenizer('not json', 'x.json')).toThrow(/x\.json is not a tokenizer that can be used/);
  });

  it('lays documents end to end with an end of text after each', () => {
    const tokenizer = loadTokenizer(json, 'test');
    const stream = tokenize(tokenizer, [
      { source: 'a', text: 'the cat' },
      { source: 'b', text: 'sat' },
    ]);
    expect([...stream].filter((id) => id === tokenizer.endOfTextId)).toHaveLength(2);
    expect(stream.at(-1)).toBe(tokenizer.endOfTextId);
  });
});
