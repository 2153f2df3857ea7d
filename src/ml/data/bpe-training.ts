import { HelioError } from '../../errors.ts';

/** Byte-level byte-pair encoding (Sennrich et al., arXiv 1508.07909; bytes as in the GPT-2 paper, section 2.2). */

export const END_OF_TEXT = '<|endoftext|>';

/** GPT-2's rule for cutting text into words, within which merges happen. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

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
 * @throws HelioError HELIO-1004 when the texts have too few repeated pairs for so many tokens
 */
export function trainBpe(texts: Iterable<string>, vocabularySize: number): TokenizerJson {
  const symbols = byteSymbols();
  const merges: string[] = [];
  const learner = new PairLearner(countWords(texts));
  while (symbols.length < vocabularySize - 1) {
    const pair = learner.mostFrequent();
    if (pair === undefined) {
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

/** Counts of adjacent pairs, kept current as pairs are merged; only words that hold the pair are touched. */
class PairLearner {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  readonly #wordsWith = new Map<number, Set<number>>();

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach((word, index) => {
      this.#add(word, index, 1);
    });
  }

  mostFrequent(): readonly [number, number] | undefined {
    let best = -1;
    let bestCount = 1;
    for (const [pair, count] of this.#counts) {
      if (count > bestCount || (count === bestCount && best !== -1 && pair < best)) {
        best = pair;
        bestCount = count;
      }
    }
    return best === -1 ? undefined : [Math.floor(best / PAIR), best % PAIR];
  }

  merge([left, right]: readonly [number, number], id: number): void {
    for (const index of this.#wordsWith.get(left * PAIR + right) ?? []) {
      const word = this.#words[index]!;
      this.#add(word, index, -1);
      const merged: number[] = [];
      for (let i = 0; i < word.ids.length; i++) {
        const here = word.ids[i] === left && word.ids[i + 1] === right;
        merged.push(here ? id : word.ids[i]!);
        if (here) i++;
      }
      word.ids = merged;
      this.#add(word, index, 1);
    }
    this.#counts.delete(left * PAIR + right);
    this.#wordsWith.delete(left * PAIR + right);
  }

  #add(word: Word, index: number, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.ids.length; i++) {
      const pair = word.ids[i]! * PAIR + word.ids[i + 1]!;
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + sign * word.count);
      if (sign === 1) {
        const holders = this.#wordsWith.get(pair);
        if (holders === undefined) this.#wordsWith.set(pair, new Set([index]));
        else holders.add(index);
      }
    }
  }
}

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

/** GPT-2 shows every byte as a printable character: these stand for themselves, the others follow from U+0100. */
function printable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

function byteOrder(): readonly number[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(printable), ...bytes.filter((byte) => !printable(byte))];
}

function byteSymbols(): string[] {
  let next = 0x100;
  return byteOrder().map((byte) => String.fromCodePoint(printable(byte) ? byte : next++));
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
