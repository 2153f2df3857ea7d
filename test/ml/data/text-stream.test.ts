import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutText } from '../../../src/ml/data/text-pieces.ts';
import { textStream } from '../../../src/ml/data/text-stream.ts';
import { isSilent } from '../../../src/ml/data/token-stream.ts';
import { tokenize } from '../../../src/ml/data/tokenized-text.ts';
import { loadFolderTokenizer } from '../../../src/ml/models/tokenizer-files.ts';
import { FIXTURES } from '../models/reference.ts';

const kinds = readdirSync(`${FIXTURES}/tokenizers`).filter((name) => !name.endsWith('.json'));
const novel = readFileSync(path.resolve(import.meta.dirname, '../../../data/austen/persuasion.txt'), 'utf8');

describe.each(kinds)('text in pieces, with a tokenizer like that of %s', (kind) => {
  const { tokenizer } = loadFolderTokenizer(`${FIXTURES}/tokenizers/${kind}`);

  it('streamed is the text of the whole, whatever the tokens', () => {
    const ids = fc.array(fc.nat(tokenizer.vocabularySize - 1), { maxLength: 40 });
    fc.assert(
      fc.property(ids, (list) => {
        const stream = textStream(tokenizer, []);
        const pieces = list.map((id) => stream.push(id));
        expect(pieces.join('') + stream.end()).toBe(tokenizer.decode(list));
      }),
    );
  });

  it('streamed after a prompt is what the whole has after the prompt', () => {
    const prompts = fc.constantFrom('It is', ' a = [ 1', 'x ', '😀 é', '\n\n');
    const ids = fc.array(fc.nat(tokenizer.vocabularySize - 1), { maxLength: 20 });
    fc.assert(
      fc.property(prompts, ids, (prompt, list) => {
        // A run of bytes that goes on after the prompt may be none in the end: then the prompt itself would read otherwise.
        const before = tokenizer.encode(prompt);
        fc.pre(!tokenizer.isByte(before.at(-1) ?? 0) || !tokenizer.isByte(list[0] ?? 0));
        const stream = textStream(tokenizer, before);
        const pieces = list.map((id) => stream.push(id));
        expect(tokenizer.decode(before) + pieces.join('') + stream.end()).toBe(tokenizer.decode([...before, ...list]));
      }),
    );
  });

  it.each([
    ['a novel', novel.slice(0, 60_000)],
    ['one line', novel.slice(0, 60_000).replaceAll(/\s+/g, ' ')],
    ['blank lines', novel.slice(0, 30_000).replaceAll('\n', '\n\n\n  ')],
  ])('encoded piece by piece has the ids of the whole: %s', (_, text) => {
    const { whole, rest } = cutText(tokenizer, text, true);
    expect(rest).toBe('');
    expect(whole.join('')).toBe(text);
    const apart = whole.flatMap((piece, i) => tokenizer.encode(piece, i === 0 ? 'begins' : 'goes on'));
    expect(apart).toEqual(tokenizer.encode(text));
  });

  it('a document in passages is tokenized as the whole, between what the tokenizer puts around it', () => {
    const text = novel.slice(0, 90_000);
    const passages = [0, 30_000, 30_001, 70_000].map((from, i, all) => ({
      source: 'a',
      text: text.slice(from, all[i + 1] ?? text.length),
      ...(i + 1 < all.length ? { continues: true } : {}),
    }));
    const { tokens } = tokenize(tokenizer, passages);
    const { before, after } = tokenizer;
    const stream = [...tokens.read(0, tokens.length)];
    expect(stream.slice(before.length)).toEqual([...tokenizer.encode(text), ...after]);
    // What stands before every text is read, and nobody has to say it.
    expect(stream.slice(0, before.length).every(isSilent)).toBe(true);
  });
});

it('streams a list with its spaces and commas', () => {
  const { tokenizer } = loadFolderTokenizer(`${FIXTURES}/tokenizers/gpt2`);
  const text = " a = [ 1 , 2 ] . What ? don 't ! he 's";
  const stream = textStream(tokenizer, []);
  expect(
    tokenizer
      .encode(text)
      .map((id) => stream.push(id))
      .join('') + stream.end(),
  ).toBe(text);
});
