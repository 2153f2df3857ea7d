import { HelioError } from '../../errors.ts';
import { templateOf } from '../data/tokenizer/template.ts';
import {
  type Part,
  type Pattern,
  parseTokenizerJson,
  type TokenizerJson,
  vocabularyOf,
} from '../data/tokenizer/tokenizer-json.ts';
import { WORDS } from '../data/tokenizer/unicode.ts';
import type { GgufValue } from './family.ts';
import { type SentencePiece, sentencePieceOf } from './gguf-sentencepiece.ts';
import type { FolderTokenizer } from './tokenizer-files.ts';

/** Kinds of tokens in GGUF: control for those that are never text, unused for rows that are no token. */
const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

type Entry = readonly [key: string, value: GgufValue];

/**
 * A tokenizer as llama.cpp's own converter writes it, rows that pad the vocabulary as `[PAD7]`.
 *
 * @param rows of the model's embedding
 * @throws HelioError HELIO-1004 when llama.cpp would read text otherwise than the tokenizer does
 */
export function ggufTokenizer({ tokenizer, tokenizerJson }: FolderTokenizer, rows: number): readonly Entry[] {
  const json = parseTokenizerJson(tokenizerJson);
  const { model, added_tokens: added } = json;
  const rule = ruleOf(json);
  const template = templateOf(json.post_processor);
  if (template.before.length > 1 || template.after.some((id) => id !== tokenizer.endOfTextId))
    throw refused('one that puts several tokens around a text');
  if (tokenizer.vocabularySize > rows) throw refused(`larger than the model's vocabulary of ${rows}`);

  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const kinds = Array<number>(rows).fill(KIND.unused);
  for (const [token, id] of vocabularyOf(model)) [tokens[id], kinds[id]] = [token, KIND.normal];
  for (const { id, content, special } of added ?? [])
    [tokens[id], kinds[id]] = [content, special === true ? KIND.control : KIND.userDefined];
  const { special, endOfTextId, idOf, chatTemplate } = tokenizer;
  const begin = template.before[0] ?? (special.bos === undefined ? endOfTextId : idOf(special.bos)) ?? endOfTextId;
  const ids: readonly (readonly [string, number | undefined])[] = [
    ['bos', begin],
    ['eos', endOfTextId],
    ['unknown', special.unk === undefined ? undefined : idOf(special.unk)],
    ['padding', special.pad === undefined ? undefined : idOf(special.pad)],
  ];
  return [
    ...(rule.kind === 'bytes' ? ofBytes(rule.name, model) : ofPieces(rule.pieces, kinds)),
    ['tokenizer.ggml.tokens', { kind: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { kind: 'int32s', value: kinds }],
    ...ids.flatMap(([role, id]): readonly Entry[] =>
      id === undefined ? [] : [[`tokenizer.ggml.${role}_token_id`, { kind: 'uint32', value: id }]],
    ),
    ['tokenizer.ggml.add_bos_token', { kind: 'bool', value: template.before.length > 0 }],
    ['tokenizer.ggml.add_eos_token', { kind: 'bool', value: template.after.length > 0 }],
    ...(chatTemplate === undefined
      ? []
      : [['tokenizer.chat_template', { kind: 'string', value: chatTemplate }] as const]),
  ];
}

type Rule =
  | { readonly kind: 'bytes'; readonly name: string }
  | { readonly kind: 'pieces'; readonly pieces: SentencePiece };

/** How llama.cpp is to read text. @throws HelioError HELIO-1004 */
function ruleOf(json: TokenizerJson): Rule {
  const { model, normalizer, pre_tokenizer: cut } = json;
  if (model.type !== 'BPE')
    throw refused(`${model.type ?? 'of no named kind'} with pre-tokenizer ${cut?.type ?? 'none'}`);
  if (model.byte_fallback === true) {
    const pieces = sentencePieceOf(json);
    if (typeof pieces === 'string') throw refused(pieces);
    return { kind: 'pieces', pieces };
  }
  const name = wordRule(cut, model);
  if (name === undefined || !(normalizer == null || normalizer.type === 'NFC'))
    throw refused(`BPE with pre-tokenizer ${cut?.type ?? 'none'}`);
  return { kind: 'bytes', name };
}

function ofBytes(rule: string, { merges }: Part): readonly Entry[] {
  const pairs = (merges as readonly (string | readonly string[])[]).map((pair) =>
    typeof pair === 'string' ? pair : pair.join(' '),
  );
  return [
    ['tokenizer.ggml.model', { kind: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { kind: 'string', value: rule }],
    ['tokenizer.ggml.merges', { kind: 'strings', value: pairs }],
  ];
}

/** @param kinds of all tokens; those of bytes and of what is unknown are entered here */
function ofPieces({ scores, bytes, unknown, spacePrefix }: SentencePiece, kinds: number[]): readonly Entry[] {
  for (const id of bytes) kinds[id] = KIND.byte;
  if (unknown !== undefined) kinds[unknown] = KIND.unknown;
  // A token that no merge makes is a character, or never comes of text.
  const value = kinds.map((_, id) => scores.get(id) ?? -scores.size);
  return [
    ['tokenizer.ggml.model', { kind: 'string', value: 'llama' }],
    ['tokenizer.ggml.pre', { kind: 'string', value: 'default' }],
    ['tokenizer.ggml.scores', { kind: 'float32s', value }],
    ['tokenizer.ggml.add_space_prefix', { kind: 'bool', value: spacePrefix }],
  ];
}

/** What llama.cpp does otherwise with some texts, a sentence each: its own converter does not say it, and users should know. */
export function ggufDifferences({ tokenizerJson }: FolderTokenizer): readonly string[] {
  const { normalizer, pre_tokenizer: cut, model } = parseTokenizerJson(tokenizerJson);
  const composes = normalizer?.type === 'NFC';
  const prefixes = model.byte_fallback === true && cut?.type === 'Metaspace' && cut.prepend_scheme !== 'never';
  return [
    ...(composes ? ['llama.cpp does not compose characters (NFC), as the tokenizer does: give it composed text.'] : []),
    ...(prefixes
      ? [
          'llama.cpp puts a space before a text that begins with one, and after a special token within a text; the tokenizer does not. Other text has the same tokens.',
        ]
      : []),
  ];
}

const refused = (what: string): HelioError =>
  new HelioError(
    'HELIO-1004',
    `The tokenizer is ${what}, and GGUF is written for byte-level BPE with a rule for words that llama.cpp knows, and for SentencePiece's BPE.`,
    "Export to another format, or convert with llama.cpp's own script.",
  );

const GPT2 = WORDS.source.replaceAll('\\p{White_Space}', '\\s').replaceAll('\\P{White_Space}', '\\S');
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const modern = (digits: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const [LLAMA3, QWEN2] = [modern('\\p{N}{1,3}'), modern('\\p{N}')];

/** llama.cpp's name (`tokenizer.ggml.pre`) for how text is cut into words, where it has one. */
function wordRule(cut: Part | null | undefined, { ignore_merges: whole }: Part) {
  const steps = cut?.type === 'Sequence' ? (cut.pretokenizers as readonly Part[]) : cut == null ? [] : [cut];
  const last = steps.at(-1);
  if (last?.type !== 'ByteLevel' || last.add_prefix_space !== false) return undefined;
  const [first] = steps;
  const ownRule = last.use_regex !== false;
  if (steps.length === 1 && ownRule) return whole === true ? undefined : 'gpt-2';
  if (steps.length !== 2) return undefined;
  if (first!.type === 'Digits' && first!.individual_digits === true && ownRule)
    return whole === true ? undefined : 'smollm';
  if (first!.type !== 'Split' || first!.behavior !== 'Isolated' || first!.invert === true || ownRule) return undefined;
  const pattern = first!.pattern as Pattern;
  const rule = 'Regex' in pattern ? pattern.Regex : '';
  // The rule with whole words before merges is Llama 3's, the same without is that of DBRX.
  if (rule === LLAMA3) return whole === true ? 'llama-bpe' : 'dbrx';
  if (rule === QWEN2) return whole === true ? undefined : 'qwen2';
  return rule === GPT2 && whole !== true ? 'gpt-2' : undefined;
}
