import type { AddedToken } from './tokenizer-json.ts';
import { escaped, SPACE, WORD } from './unicode.ts';

/** A part of a text: an added token, or what stands between. */
export type Section =
  | { readonly kind: 'text'; readonly text: string; readonly begin: number }
  | { readonly kind: 'token'; readonly id: number };

const IS_WORD = new RegExp(`^[${WORD}]$`, 'u');
const IS_SPACE = new RegExp(`^${SPACE}$`, 'u');

/**
 * Finds added tokens in a text: the leftmost, of those that begin there the longest, and what each says of the white space and words beside
 * it (`AddedVocabulary` of Hugging Face's `tokenizers`).
 *
 * @param tokens with what is looked for as their `content`
 */
export function splitterOf(tokens: readonly AddedToken[]): (text: string) => readonly Section[] {
  const byContent = new Map(tokens.filter(({ content }) => content !== '').map((token) => [token.content, token]));
  if (byContent.size === 0) return whole;
  const longestFirst = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const expression = new RegExp(longestFirst.map((content) => escaped(content)).join('|'), 'gu');
  return (text) => {
    const sections: Section[] = [];
    let from = 0;
    for (const { index, 0: content } of text.matchAll(expression)) {
      const { id, single_word: single, lstrip, rstrip } = byContent.get(content)!;
      let [begin, end] = [index, index + content.length];
      // White space that one before has taken may be this token's beginning.
      if (begin < from || (single === true && isInWord(text, begin, end))) continue;
      if (lstrip === true) while (begin > from && IS_SPACE.test(text[begin - 1]!)) begin--;
      if (rstrip === true) while (end < text.length && IS_SPACE.test(text[end]!)) end++;
      if (begin > from) sections.push({ kind: 'text', text: text.slice(from, begin), begin: from });
      sections.push({ kind: 'token', id });
      from = end;
    }
    if (from === 0 && sections.length === 0) return whole(text);
    if (from < text.length) sections.push({ kind: 'text', text: text.slice(from), begin: from });
    return sections;
  };
}

/** No white space lies beyond U+FFFF, letters do. */
function isInWord(text: string, begin: number, end: number): boolean {
  const before = text.slice(Math.max(0, begin - 2), begin).match(/.$/su)?.[0];
  const after = text.codePointAt(end);
  return IS_WORD.test(before ?? '') || (after !== undefined && IS_WORD.test(String.fromCodePoint(after)));
}

const whole = (text: string): readonly Section[] => (text === '' ? [] : [{ kind: 'text', text, begin: 0 }]);
