import { HelioError } from '../../errors.ts';
import { byteOrder, byteSymbol } from './tokenizer/byte-symbols.ts';
import { WORDS } from './tokenizer/unicode.ts';

/** Byte-level byte-pair encoding (Sennrich et al., arXiv 1508.07909; bytes as in the GPT-2 paper, section 2.2). */

export const END_OF_TEXT = '<|endoftext|>';

/** A tokenizer in the layout of Hugging Face's `tokenizer.json`. */
export interface TokenizerJson {
  readonly version: '1.0';
  readonly model: {
    readonly type: 'BPE';
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly string[];
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

/**
 * Learns a vocabulary: the 256 bytes, then the most frequent pairs (ties by the smaller pair of ids), then
 * `<|endoftext|>`.
 *
 * @param vocabularySize at least 257
 * @param tooFew what to do when the texts have too few repeated pairs for so many tokens: refuse, or be content with fewer
 * @throws HelioError HELIO-1004
 */
export function trainBpe(
  texts: Iterable<string>,
  vocabularySize: number,
  tooFew: 'refuse' | 'fewer' = 'refuse',
): TokenizerJson {
  const symbols = byteOrder().map(byteSymbol);
  const merges: string[] = [];
  const learner = new PairLearner(countWords(texts));
  while (symbols.length < vocabularySize - 1) {
    const pair = learner.mostFrequent();
    if (pair === undefined) {
      if (tooFew === 'fewer') break;
      throw new HelioError(
        'HELIO-1004',
        `tokenizer.vocabularySize ${vocabularySize} is more than the corpus supports: it has repeated pairs for ${symbols.length + 1} tokens.`,
        `Ask for at most ${symbols.length + 1}, or give more text.`,
      );
    }
    merges.push(`${symbols[pair[0]]} ${symbols[pair[1]]}`);
    learner.merge(pair, symbols.length);
    symbols.push(symbols[pair[0]]! + symbols[pair[1]]!);
  }
  symbols.push(END_OF_TEXT);
  return tokenizerJson(symbols, merges);
}

interface Word {
  ids: number[];
  readonly count: number;
}

/**
 * Counts of adjacent pairs, kept current as pairs are merged; only words that hold the pair are touched. A heap holds
 * what counts have been; an entry that is no longer true is put back with its count of now when it comes up.
 */
class PairLearner {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  /** Words that held a pair when it was counted; some may have lost it since. */
  readonly #wordsWith = new Map<number, number[]>();
  readonly #heap = new PairHeap();

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach(({ ids, count }, index) => {
      for (let i = 0; i + 1 < ids.length; i++) this.#found(ids[i]! * PAIR + ids[i + 1]!, count, index);
    });
    for (const [pair, count] of this.#counts) this.#heap.push(count, pair);
  }

  mostFrequent(): readonly [number, number] | undefined {
    for (;;) {
      const top = this.#heap.pop();
      if (top === undefined) return undefined;
      const now = this.#counts.get(top.pair) ?? 0;
      if (now === top.count) return now < 2 ? undefined : [Math.floor(top.pair / PAIR), top.pair % PAIR];
      if (now > 0) this.#heap.push(now, top.pair);
    }
  }

  merge([left, right]: readonly [number, number], id: number): void {
    const merged = left * PAIR + right;
    const grown = new Set<number>();
    for (const index of this.#wordsWith.get(merged) ?? []) {
      const word = this.#words[index]!;
      const { ids, count } = word;
      const next: number[] = [];
      for (let i = 0; i < ids.length; i++) {
        if (ids[i] !== left || ids[i + 1] !== right) {
          next.push(ids[i]!);
          continue;
        }
        // The neighbours' pairs with the two parts give way to their pairs with the whole.
        const before = next.at(-1);
        if (before !== undefined) {
          this.#lost(before * PAIR + left, count);
          this.#found(before * PAIR + id, count, index);
          grown.add(before * PAIR + id);
        }
        const after = ids[i + 2];
        if (after !== undefined) {
          this.#lost(right * PAIR + after, count);
          this.#found(id * PAIR + after, count, index);
          grown.add(id * PAIR + after);
        }
        next.push(id);
        i++;
      }
      word.ids = next;
    }
    this.#counts.delete(merged);
    this.#wordsWith.delete(merged);
    for (const pair of grown) this.#heap.push(this.#counts.get(pair)!, pair);
  }

  #found(pair: number, count: number, index: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + count);
    const holders = this.#wordsWith.get(pair);
    if (holders === undefined) this.#wordsWith.set(pair, [index]);
    else if (holders.at(-1) !== index) holders.push(index);
  }

  #lost(pair: number, count: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) - count);
  }
}

/** A binary heap of pairs: the largest count first, among equals the smaller pair. */
class PairHeap {
  readonly #items: { readonly count: number; readonly pair: number }[] = [];

  push(count: number, pair: number): void {
    const items = this.#items;
    const item = { count, pair };
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!precedes(item, items[above]!)) break;
      items[at] = items[above]!;
      at = above;
    }
    items[at] = item;
  }

  pop(): { readonly count: number; readonly pair: number } | undefined {
    const items = this.#items;
    const [top] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && precedes(items[below + 1]!, items[below]!)) below++;
      if (!precedes(items[below]!, last)) break;
      items[at] = items[below]!;
      at = below;
    }
    items[at] = last;
    return top;
  }
}

const precedes = (
  a: { readonly count: number; readonly pair: number },
  b: { readonly count: number; readonly pair: number },
): boolean => a.count > b.count || (a.count === b.count && a.pair < b.pair);

/** A pair of ids as one number. */
const PAIR = 2 ** 26;

function countWords(texts: Iterable<string>): readonly Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  const idOfByte = new Map(byteOrder().map((byte, id) => [byte, id]));
  return [...counts].map(([word, count]) => ({
    ids: Array.from(encoder.encode(word), (byte) => idOfByte.get(byte)!),
    count,
  }));
}

function tokenizerJson(symbols: readonly string[], merges: readonly string[]): TokenizerJson {
  const endOfText = symbols.length - 1;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      {
        id: endOfText,
        content: END_OF_TEXT,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(symbols.map((symbol, id) => [symbol, id])),
      merges,
    },
  };
}
