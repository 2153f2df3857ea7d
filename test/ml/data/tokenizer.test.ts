import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { tokenize } from '../../../src/ml/data/tokenized-text.ts';
import { WORDS } from '../../../src/ml/data/tokenizer/unicode.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';

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
    const { tokens, documents } = tokenize(tokenizer, [
      { source: 'a', text: 'the cat' },
      { source: 'b', text: 'sat', continues: true },
      { source: 'b', text: ' down' },
    ]);
    const stream = [...tokens.read(0, tokens.length)];
    expect(stream.filter((id) => id === tokenizer.endOfTextId)).toHaveLength(2);
    expect(stream.at(-1)).toBe(tokenizer.endOfTextId);
    expect([...documents]).toEqual([0, stream.indexOf(tokenizer.endOfTextId) + 1]);
  });

  it('gives the ids that Hugging Face’s own library gives, for any text', () => {
    const ours = loadTokenizer(json, 'test');
    const theirs = new HuggingFaceTokenizer(JSON.parse(json), { eos_token: '<|endoftext|>' });
    const same = (text: string): void => {
      expect(ours.encode(text)).toEqual(theirs.encode(text, { add_special_tokens: false }).ids);
    };
    same(corpus);
    same('one<|endoftext|>two');
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), same));
    const words = fc.constantFrom(' ', '  ', '\n', "'s", 'the', ' the', '12', '!?', '\t', 'naïve');
    fc.assert(
      fc.property(
        fc.array(words, { maxLength: 30 }).map((list) => list.join('')),
        same,
      ),
    );
  });

  it('learns the merges that the plain algorithm learns', () => {
    // Sennrich et al.'s listing, word for word: count all pairs anew before every merge.
    const words = new Map<string, number>();
    for (const [word] of corpus.slice(0, 4000).matchAll(WORDS)) words.set(word, (words.get(word) ?? 0) + 1);
    const learned = trainBpe([corpus.slice(0, 4000)], 290).model;
    const symbols = Object.entries(learned.vocab).filter(([, id]) => id < 256);
    const idOf = new Map(symbols);
    let parts = [...words].map(([word, count]) => ({
      count,
      ids: [...new TextEncoder().encode(word)].map(
        (b) => idOf.get(b === 32 ? 'Ġ' : b === 10 ? 'Ċ' : String.fromCharCode(b))!,
      ),
    }));
    const names = symbols.toSorted((a, b) => a[1] - b[1]).map(([symbol]) => symbol);
    for (const merge of learned.merges) {
      const counts = new Map<string, number>();
      for (const { ids, count } of parts)
        ids.slice(1).forEach((right, i) => {
          counts.set(`${ids[i]},${right}`, (counts.get(`${ids[i]},${right}`) ?? 0) + count);
        });
      const [best] = [...counts].toSorted(
        ([a, x], [b, y]) =>
          y - x ||
          a.split(',').map(Number)[0]! - b.split(',').map(Number)[0]! ||
          Number(a.split(',')[1]) - Number(b.split(',')[1]),
      );
      const [left, right] = best![0].split(',').map(Number) as [number, number];
      expect(merge).toBe(`${names[left]} ${names[right]}`);
      const id = names.push(names[left]! + names[right]!) - 1;
      parts = parts.map(({ count, ids }) => {
        const next: number[] = [];
        for (let i = 0; i < ids.length; i++) {
          const here = ids[i] === left && ids[i + 1] === right;
          next.push(here ? id : ids[i]!);
          if (here) i++;
        }
        return { count, ids: next };
      });
    }
  });
});

describe('tokenizers from elsewhere', () => {
  const foreign = (model: object, more: object = {}): string => JSON.stringify({ ...JSON.parse(json), model, ...more });

  it.each([
    [
      'of a kind that is not known',
      foreign({ type: 'Telepathy', vocab: { a: 0 } }),
      /x\.json is not a tokenizer that can be used: .*Telepathy/i,
    ],
    ['without a vocabulary', foreign({ type: 'BPE' }), /x\.json is not a tokenizer that can be used/],
    [
      'without the token that ends a document',
      foreign({ type: 'BPE', vocab: { a: 0 }, merges: [] }, { added_tokens: [] }),
      /nothing says which token ends a text: name it as eos_token/,
    ],
  ])('are refused: %s', (_, text, message) => {
    expect(() => loadTokenizer(text, 'x.json')).toThrow(message);
  });

  it('may end their documents with another token', () => {
    const renamed = json.replaceAll('<|endoftext|>', '</s>');
    expect(() => loadTokenizer(renamed, 'x.json', { endOfText: '<|endoftext|>' })).toThrow(/no <\|endoftext\|> token/);
    expect(loadTokenizer(renamed, 'x.json', { endOfText: '</s>' })).toMatchObject({
      endOfTextId: 279,
      endOfText: '</s>',
    });
  });
});
