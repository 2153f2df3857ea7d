import { precompiled } from './precompiled.ts';
import { choose, type Part, type Pattern } from './tokenizer-json.ts';
import { expressionOf, lowercase, SPACE } from './unicode.ts';

/** Text before it is cut into words. Each is what Hugging Face's `tokenizers` (Rust) computes under the same name. */
export type Normalize = (text: string) => string;

/** @param continues for text that goes on where other text ended: nothing is put in front */
export function normalizerOf(part: Part | null | undefined, continues: boolean): Normalize {
  if (part === null || part === undefined) return (text) => text;
  return choose('normalizer', part, NORMALIZERS)(part, continues);
}

const form = (name: 'NFC' | 'NFD' | 'NFKC' | 'NFKD') => (): Normalize => (text) => text.normalize(name);

const NORMALIZERS: Readonly<Record<string, (part: Part, continues: boolean) => Normalize>> = {
  NFC: form('NFC'),
  NFD: form('NFD'),
  NFKC: form('NFKC'),
  NFKD: form('NFKD'),
  Lowercase: () => lowercase,
  StripAccents: () => (text) => text.replace(/\p{M}/gu, ''),
  Strip: ({ strip_left: left, strip_right: right }) => {
    const ends = [...(left === true ? [`^${SPACE}+`] : []), ...(right === true ? [`${SPACE}+$`] : [])];
    const outside = new RegExp(ends.join('|') || '(?!)', 'gu');
    return (text) => text.replace(outside, '');
  },
  Replace: ({ pattern, content }) => {
    const expression = expressionOf(pattern as Pattern);
    return (text) => text.replace(expression, () => String(content));
  },
  Prepend:
    ({ prepend }, continues) =>
    (text) =>
      text === '' || continues ? text : String(prepend) + text,
  BertNormalizer: bertNormalizer,
  Precompiled: ({ precompiled_charsmap: map }) => precompiled(map),
  Sequence: ({ normalizers }, continues) => {
    const each = (normalizers as readonly Part[]).map((part) => normalizerOf(part, continues));
    return (text) => each.reduce((result, normalize) => normalize(result), text);
  },
};

const CHINESE =
  /[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]/gu;
const WHITE = new RegExp(SPACE, 'gu');

function bertNormalizer(part: Part): Normalize {
  const { clean_text: clean, handle_chinese_chars: chinese, lowercase: lower } = part;
  const strip = part.strip_accents ?? lower;
  return (text) => {
    let result = text;
    if (clean !== false) result = result.replace(/[\0\ufffd]|(?![\t\n\r])\p{C}/gu, '').replace(WHITE, ' ');
    if (chinese !== false) result = result.replace(CHINESE, ' $& ');
    if (strip === true) result = result.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lower === false ? result : lowercase(result);
  };
}
