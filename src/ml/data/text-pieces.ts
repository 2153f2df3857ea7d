import type { Tokenizer } from './tokenizer.ts';

/** A long text is encoded piece by piece, so that no single call sees megabytes. */
const PIECE = 16_384;
/** Characters on each side that are looked at to tell whether a text can be cut in a place. */
const BESIDE = 256;
/** Places that are tried before a text is left as it is. */
const TRIES = 64;
/** A text longer than this is cut wherever it is. */
const MOST = 2 ** 22;

/** Pieces of a text that can be encoded one by one, and the rest of it. */
export interface Pieces {
  readonly whole: readonly string[];
  readonly rest: string;
}

/**
 * Cuts a text where no token reaches over the cut: the ids of its pieces, one after the other, are those of the whole.
 *
 * @param complete whether the text ends here; if not, its end stays as the rest, as what follows may change its tokens
 */
export function cutText(tokenizer: Tokenizer, text: string, complete: boolean): Pieces {
  const whole: string[] = [];
  let from = 0;
  while (text.length - from > 2 * PIECE) {
    const at = placeToCut(tokenizer, text, from + PIECE) ?? anywhere(text, from + MOST);
    if (at === undefined || text.length - at < BESIDE) break;
    whole.push(text.slice(from, at));
    from = at;
  }
  const rest = text.slice(from);
  if (!complete) return { whole, rest };
  return { whole: rest === '' ? whole : [...whole, rest], rest: '' };
}

/** Between two characters. */
function anywhere(text: string, at: number): number | undefined {
  if (at >= text.length) return undefined;
  return (text.codePointAt(at - 1) ?? 0) > 0xffff ? at - 1 : at;
}

/** After a line that is followed by another, or before a space in a line: where the tokens on both sides stay what they are. */
function placeToCut(tokenizer: Tokenizer, text: string, from: number): number | undefined {
  for (const candidates of [/(?<=\S\n)(?=\S)/g, /(?<=\S)(?= \S)/g]) {
    candidates.lastIndex = from;
    for (let tries = 0; tries < TRIES; tries++) {
      const at = candidates.exec(text)?.index;
      if (at === undefined) break;
      if (isCut(tokenizer, text, at)) return at;
      candidates.lastIndex = at + 1;
    }
  }
  return undefined;
}

function isCut(tokenizer: Tokenizer, text: string, at: number): boolean {
  const [left, right] = [text.slice(Math.max(0, at - BESIDE), at), text.slice(at, at + BESIDE)];
  const together = tokenizer.encode(left + right, 'goes on');
  const apart = [...tokenizer.encode(left, 'goes on'), ...tokenizer.encode(right, 'goes on')];
  return together.length === apart.length && together.every((id, i) => id === apart[i]);
}
