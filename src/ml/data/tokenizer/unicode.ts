import * as library from '@huggingface/tokenizers';
import type { Pattern } from './tokenizer-json.ts';

/** Unicode's white space, which is Rust's and Oniguruma's `\s`: JavaScript's own leaves out U+0085 and adds U+FEFF. */
export const SPACE = String.raw`\p{White_Space}`;
/** Rust's and Oniguruma's `\w`. */
export const WORD = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}`;
/** `char::is_ascii_punctuation` or Unicode's punctuation. */
export const PUNCTUATION = String.raw`\p{P}\u0021-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u007E`;

/** GPT-2's rule for cutting text into words, within which merges happen. */
export const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The library's types leave this class out. */
const { SplitPreTokenizer } = library as unknown as {
  readonly SplitPreTokenizer: new (config: { pattern: Pattern; invert: true }) => { readonly pattern: RegExp | null };
};

/** A pattern as JavaScript's expression, for all its matches. Oniguruma's syntax is translated by Hugging Face's library. */
export function expressionOf(pattern: Pattern): RegExp {
  if ('String' in pattern) return new RegExp(escaped(pattern.String), 'gu');
  const { pattern: translated } = new SplitPreTokenizer({ pattern, invert: true });
  if (translated === null) throw new TypeError(`its pattern ${JSON.stringify(pattern)} is not one that is read`);
  return translated;
}

/** A text as an expression that matches it and nothing else. */
export const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** Each character for itself, as Rust does it: the Greek final sigma is not told apart. */
export const lowercase = (text: string): string => {
  let lower = '';
  for (const character of text) lower += character.toLowerCase();
  return lower;
};
