import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';

/** Tokenizers of every kind that bases come with, and what Hugging Face's `tokenizers` (Rust) makes of texts: see make_tokenizer_reference.py. */
const folder = path.resolve(import.meta.dirname, '../../fixtures/tokenizers');

interface Reference {
  readonly texts: readonly string[];
  readonly tokenizers: Readonly<
    Record<
      string,
      {
        readonly plain: readonly (readonly number[])[];
        readonly special: readonly (readonly [empty: readonly number[], a: readonly number[]])[];
        readonly decoded: readonly { readonly ids: readonly number[]; readonly text: string }[];
      }
    >
  >;
}

const reference = JSON.parse(readFileSync(path.join(folder, 'reference.json'), 'utf8')) as Reference;

const load = (name: string) => {
  const names = readdirSync(path.join(folder, name)).filter((file) => file !== 'tokenizer.json');
  const read = (file: string): string => readFileSync(path.join(folder, name, file), 'utf8');
  return loadTokenizer(read('tokenizer.json'), name, { beside: Object.fromEntries(names.map((f) => [f, read(f)])) });
};

describe.each(Object.entries(reference.tokenizers))('a tokenizer like that of %s', (name, expected) => {
  const tokenizer = load(name);

  it('gives the ids that tokenizers gives', () => {
    const ours = reference.texts.map((text) => ({ text, ids: tokenizer.encode(text) }));
    expect(ours).toEqual(reference.texts.map((text, i) => ({ text, ids: expected.plain[i] })));
  });

  it('puts before and after a text what its own template says', () => {
    const [[, whole]] = expected.special as readonly [readonly [readonly number[], readonly number[]]];
    const { before, after, endOfTextId } = tokenizer;
    const ends = whole!.at(-1) === endOfTextId;
    expect([...before, ...tokenizer.encode('a'), ...after]).toEqual(ends ? whole : [...whole!, endOfTextId]);
  });

  it('gives the text that tokenizers gives', () => {
    const ours = expected.decoded.map(({ ids }) => ({ ids, text: tokenizer.decode(ids) }));
    expect(ours).toEqual(expected.decoded);
  });
});
