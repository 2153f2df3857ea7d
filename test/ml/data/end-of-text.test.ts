import { expect, it } from 'vitest';
import { endOfTextOf } from '../../../src/ml/data/tokenizer/end-of-text.ts';

const vocabularyOf = (...tokens: readonly string[]) => ({
  tokens,
  ids: new Map(tokens.map((token, id) => [token, id])),
});
const all = vocabularyOf('a', '</s>', '<|endoftext|>', '<end>', '<named>');

it.each([
  ['what the files name, before all else', all, { eos: '<named>' }, [3], '<named>'],
  ['what the template puts behind a text, where nothing is named', all, {}, [1, 3], '<end>'],
  ['one that ends texts elsewhere, where the template puts nothing behind', all, {}, [], '<|endoftext|>'],
  ['the first of those that there is', vocabularyOf('[SEP]', 'a', '</s>'), {}, [], '</s>'],
  ['none, where nothing says which', vocabularyOf('a', 'b'), {}, [], undefined],
  ['what is named, whether or not it is there', vocabularyOf('a'), { eos: '<named>' }, [], '<named>'],
])('a text ends with %s', (_, vocabulary, special, after, end) => {
  expect(endOfTextOf(vocabulary, special, after)).toBe(end);
});
