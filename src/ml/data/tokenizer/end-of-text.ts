import type { SpecialTokens } from './special-tokens.ts';

/** Every token of a tokenizer by its id, and the other way round; some ids may have none. */
export interface Vocabulary {
  readonly tokens: readonly (string | undefined)[];
  readonly ids: ReadonlyMap<string, number>;
}

/**
 * Which token ends a text: the one that the files name as `eos_token`; else the last that the template puts behind a text; else, where it puts none, the
 * first of {@link KNOWN_ENDS} that there is.
 *
 * @param after what the template puts behind a text
 * @returns undefined where nothing says which
 */
export function endOfTextOf(
  { tokens, ids }: Vocabulary,
  special: SpecialTokens,
  after: readonly number[],
): string | undefined {
  const last = after.at(-1);
  return special.eos ?? (last === undefined ? KNOWN_ENDS.find((token) => ids.has(token)) : tokens[last]);
}

/** Tokens that end a text in the tokenizers of well-known models. */
const KNOWN_ENDS: readonly string[] = [
  '<|endoftext|>',
  '</s>',
  '<|end_of_text|>',
  '<eos>',
  '<|im_end|>',
  '<|eot_id|>',
  '<|end|>',
  '[EOS]',
  '[SEP]',
];
