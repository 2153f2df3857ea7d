import { byteSymbols } from './byte-symbols.ts';
import { choose, type Part, type Pattern } from './tokenizer-json.ts';
import { escaped, expressionOf, PUNCTUATION, SPACE, WORD, WORDS } from './unicode.ts';

/**
 * Cuts normalized text into words, within which a model works. Each is what Hugging Face's `tokenizers` (Rust) computes
 * under the same name.
 */
export interface PreTokenizer {
  readonly cut: (text: string, place: Place) => readonly string[];
  /** Makes of a word that was cut what the model sees. */
  readonly spell: (word: string) => string;
}

/** Where a text stands: at the beginning of all, where other text ended in the middle (nothing is put in front), or after something else. */
export type Place = 'first' | 'goes on' | 'later';

type Cut = PreTokenizer['cut'];

const asIs = (word: string): string => word;

export function preTokenizerOf(part: Part | null | undefined): PreTokenizer {
  if (part === null || part === undefined) return { cut: (text) => (text === '' ? [] : [text]), spell: asIs };
  return choose('pre-tokenizer', part, PRE_TOKENIZERS)(part);
}

const alone = (cut: Cut): PreTokenizer => ({ cut, spell: asIs });

const PRE_TOKENIZERS: Readonly<Record<string, (part: Part) => PreTokenizer>> = {
  ByteLevel: (part) => {
    const prefix = part.add_prefix_space !== false;
    const whole = part.use_regex === false;
    return {
      cut: (text, place) => {
        const full = prefix && place !== 'goes on' && text !== '' && !text.startsWith(' ') ? ` ${text}` : text;
        return whole ? (full === '' ? [] : [full]) : (full.match(WORDS) ?? []);
      },
      spell: byteSymbols,
    };
  },
  Metaspace: (part) => {
    const replacement = String(part.replacement ?? '▁');
    // Files of old have `add_prefix_space` in the place of `prepend_scheme`.
    const scheme = part.prepend_scheme ?? (part.add_prefix_space === false ? 'never' : 'always');
    const split = splitting(new RegExp(escaped(replacement), 'gu'), 'MergedWithNext', false);
    return alone((text, place) => {
      let full = text.replaceAll(' ', replacement);
      const prefix = scheme === 'always' ? place !== 'goes on' : scheme === 'first' && place === 'first';
      if (prefix && full !== '' && !full.startsWith(replacement)) full = replacement + full;
      return part.split === false ? (full === '' ? [] : [full]) : split(full);
    });
  },
  Split: ({ pattern, behavior, invert }) =>
    alone(splitting(expressionOf(pattern as Pattern), String(behavior), invert === true)),
  Digits: ({ individual_digits: individual }) =>
    alone(splitting(/\p{N}/gu, individual === true ? 'Isolated' : 'Contiguous', false)),
  Punctuation: ({ behavior }) =>
    alone(splitting(new RegExp(`[${PUNCTUATION}]`, 'gu'), String(behavior ?? 'Isolated'), false)),
  Whitespace: () => alone(splitting(new RegExp(`[${WORD}]+|[^${WORD}${SPACE}]+`, 'gu'), 'Removed', true)),
  WhitespaceSplit: () => alone(splitting(new RegExp(SPACE, 'gu'), 'Removed', false)),
  CharDelimiterSplit: ({ delimiter }) =>
    alone(splitting(new RegExp(escaped(String(delimiter)), 'gu'), 'Removed', false)),
  BertPreTokenizer: () => {
    const words = splitting(new RegExp(SPACE, 'gu'), 'Removed', false);
    const marks = splitting(new RegExp(`[${PUNCTUATION}]`, 'gu'), 'Isolated', false);
    return alone((text) => words(text).flatMap(marks));
  },
  Sequence: ({ pretokenizers }) => {
    const each = (pretokenizers as readonly Part[]).map(preTokenizerOf);
    const last = each.at(-1);
    const cut: Cut = (text, place) =>
      each.reduce<readonly string[]>(
        (words, one) =>
          words.flatMap((word, i) => {
            // Where something was taken away in front, the first word is not where the text begins.
            const cutHere = one.cut(word, i === 0 && text.startsWith(word) ? place : 'later');
            return one === last || one.spell === asIs ? cutHere : cutHere.map(one.spell);
          }),
        text === '' ? [] : [text],
      );
    return { cut, spell: last?.spell ?? asIs };
  },
};

/** Cuts at the matches of an expression: what becomes of them is Hugging Face's `SplitDelimiterBehavior`. */
function splitting(expression: RegExp, behavior: string, invert: boolean): (text: string) => readonly string[] {
  const name = behavior.toLowerCase().replaceAll('_', '');
  if (!BEHAVIORS.includes(name)) throw new TypeError(`its pre-tokenizer splits by ${behavior}`);
  return (text) => {
    const words: string[] = [];
    const delimiters: boolean[] = [];
    let from = 0;
    const put = (to: number, delimiter: boolean): void => {
      if (to === from) return;
      words.push(text.slice(from, to));
      delimiters.push(delimiter);
      from = to;
    };
    for (const { index, 0: match } of text.matchAll(expression)) {
      put(index, invert);
      put(index + match.length, !invert);
    }
    put(text.length, invert);
    return name === 'isolated' ? words : behave(name, words, delimiters);
  };
}

const BEHAVIORS: readonly string[] = ['removed', 'isolated', 'mergedwithprevious', 'mergedwithnext', 'contiguous'];

function behave(name: string, words: readonly string[], delimiters: readonly boolean[]): readonly string[] {
  if (name === 'removed') return words.filter((_, i) => !delimiters[i]);
  const result: string[] = [];
  const backwards = name === 'mergedwithnext';
  const order = backwards ? [...words.keys()].reverse() : [...words.keys()];
  for (const i of order) {
    const neighbour = delimiters[backwards ? i + 1 : i - 1];
    // A delimiter joins what is beside it, unless that is a delimiter too; contiguous ones join each other.
    const joins = name === 'contiguous' ? neighbour === delimiters[i] : delimiters[i] === true && neighbour === false;
    const last = result.length - 1;
    if (!joins || last < 0) result.push(words[i]!);
    else result[last] = backwards ? words[i]! + result[last]! : result[last]! + words[i]!;
  }
  return backwards ? result.reverse() : result;
}
