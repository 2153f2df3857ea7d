import type { Tokenizer } from './tokenizer.ts';

/** Says the text of tokens as they come: all that was said together is the text of all tokens together. */
export interface TextStream {
  /** What is certain now that this token is there: not a character, or a run of byte tokens, that is not complete. */
  push(id: number): string;
  /** What was still held back. */
  end(): string;
}

/**
 * Tokens that are decoded with what is new: how one reads may depend on whether another goes before it, and a character is no longer than four
 * bytes.
 */
const WINDOW = 8;

/** @param ids tokens whose text was said already */
export function textStream(tokenizer: Tokenizer, ids: readonly number[]): TextStream {
  const isText = (id: number): boolean => tokenizer.tokenOf(id) !== undefined && !tokenizer.isSpecial(id);
  let known = recent(tokenizer, ids.filter(isText));
  let saidLength = tokenizer.decode(known).length;
  const say = (held: (text: string) => number): string => {
    const text = tokenizer.decode(known);
    const kept = held(text);
    const fresh = text.slice(saidLength, text.length - kept);
    known = recent(tokenizer, known);
    saidLength = tokenizer.decode(known).length - kept;
    return fresh;
  };
  return {
    push: (id) => {
      if (!isText(id)) return '';
      known.push(id);
      // Bytes that are not a whole character yet read as one replacement character.
      return tokenizer.isByte(id) ? '' : say((text) => (text.endsWith('\ufffd') ? 1 : 0));
    },
    end: () => say(() => 0),
  };
}

/** The last tokens, and all of a run of bytes that they begin in. */
function recent(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  let from = Math.max(0, ids.length - WINDOW);
  while (from > 0 && tokenizer.isByte(ids[from]!)) from--;
  return ids.slice(from);
}
