import { HelioError } from '../../errors.ts';
import { END_OF_TEXT } from './bpe-training.ts';
import { BYTE_TOKEN, decoderOf, hasByteFallback } from './tokenizer/decoders.ts';
import { encoderOf } from './tokenizer/encoder.ts';
import { endOfTextOf, type Vocabulary } from './tokenizer/end-of-text.ts';
import {
  chatTemplateOf,
  configOf,
  type FilesBeside,
  type SpecialTokens,
  specialTokensOf,
} from './tokenizer/special-tokens.ts';
import { templateOf } from './tokenizer/template.ts';
import {
  type AddedToken,
  isTokenId,
  parseTokenizerJson,
  type TokenizerJson,
  vocabularyOf,
} from './tokenizer/tokenizer-json.ts';

/** Turns text into token ids and back, as the `tokenizers` library of Hugging Face does. */
export interface Tokenizer {
  /** One more than the largest id. A model may have more rows than that: they are no tokens. */
  readonly vocabularySize: number;
  /** Stands between documents. */
  readonly endOfTextId: number;
  /** How that token is written. */
  readonly endOfText: string;
  /** What stands before and after a document: the tokenizer's own template, and an end of text where that has none. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Which tokens have a role of their own. */
  readonly special: SpecialTokens;
  /** Turns a conversation into text, in Jinja's language. */
  readonly chatTemplate: string | undefined;
  /** @param place whether the text begins something, or goes on where other text ended (then no space is put in front) */
  encode(text: string, place?: 'begins' | 'goes on'): readonly number[];
  /** Text of tokens, without the special ones. */
  decode(ids: readonly number[]): string;
  /** How a token is written in the vocabulary. */
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
  /** Whether a token is never text. */
  isSpecial(id: number): boolean;
  /** Whether a token is one byte of several that are text only together. */
  isByte(id: number): boolean;
}

export interface TokenizerOptions {
  /** What lies beside the file: `tokenizer_config.json` and others. */
  readonly beside?: FilesBeside;
  /** The token that ends a document; left out, the one that the files name. */
  readonly endOfText?: string;
}

/**
 * Loads a `tokenizer.json` in Hugging Face's format.
 *
 * @param source the file's name, for messages
 * @throws HelioError HELIO-1004 when it has a part of a kind that is not computed here, or no token that ends a text
 */
export function loadTokenizer(json: string, source: string, options: TokenizerOptions = {}): Tokenizer {
  return explained(source, () => tokenizerOf(json, options));
}

function explained<T>(source: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof HelioError) throw error;
    throw new HelioError(
      'HELIO-1004',
      `${source} is not a tokenizer that can be used: ${error instanceof Error ? error.message : String(error)}.`,
      'Give a tokenizer.json in Hugging Face format, or leave tokenizer.path out to train one.',
      { cause: error },
    );
  }
}

function tokenizerOf(json: string, { beside = {}, endOfText: given }: TokenizerOptions): Tokenizer {
  const parsed = withDeclared(parseTokenizerJson(json), beside);
  const vocabulary = tokensOf(parsed);
  const { tokens, ids } = vocabulary;
  const encoder = encoderOf(parsed);
  const spelled = [...tokens];
  for (const token of parsed.added_tokens ?? []) spelled[token.id] = encoder.spelling(token);
  const special = specialTokensOf(beside);
  const template = templateOf(parsed.post_processor);
  const decoder = decoderOf(parsed.decoder);
  const hidden = new Set((parsed.added_tokens ?? []).filter(({ special: hide }) => hide === true).map(({ id }) => id));
  const bytes = hasByteFallback(parsed.decoder);

  const endOfText = given ?? endOfTextOf(vocabulary, special, template.after);
  if (endOfText === undefined)
    throw new TypeError('nothing says which token ends a text: name it as eos_token in tokenizer_config.json');
  const endOfTextId = ids.get(endOfText);
  if (endOfTextId === undefined) throw new TypeError(`it has no ${endOfText} token`);
  const ends = template.after.at(-1) === endOfTextId;
  return {
    vocabularySize: tokens.length,
    endOfTextId,
    endOfText,
    before: template.before,
    after: ends ? template.after : [...template.after, endOfTextId],
    special,
    chatTemplate: chatTemplateOf(beside),
    encode: (text, place = 'begins') => encoder.encode(text, place === 'goes on'),
    decode: (list) => decoder(list.flatMap((id) => (hidden.has(id) || spelled[id] === undefined ? [] : [spelled[id]]))),
    tokenOf: (id) => tokens[id],
    idOf: (token) => ids.get(token),
    isSpecial: (id) => hidden.has(id),
    isByte: (id) => bytes && BYTE_TOKEN.test(tokens[id] ?? ''),
  };
}

/** `added_tokens_decoder` of the configuration may have tokens that the file has not, or has otherwise. */
function withDeclared(json: TokenizerJson, beside: FilesBeside): TokenizerJson {
  const { added_tokens_decoder: declared } = configOf(beside, 'tokenizer_config.json');
  if (typeof declared !== 'object' || declared === null) return json;
  const added = new Map((json.added_tokens ?? []).map((token) => [token.content, token]));
  for (const [key, token] of Object.entries(declared as Readonly<Record<string, Omit<AddedToken, 'id'>>>)) {
    const id = Number(key);
    if (!isTokenId(id) || typeof token?.content !== 'string' || token.content === '')
      throw new TypeError(`added_tokens_decoder of its tokenizer_config.json has the entry ${JSON.stringify(key)}`);
    added.set(token.content, { ...token, id: added.get(token.content)?.id ?? id });
  }
  return { ...json, added_tokens: [...added.values()] };
}

function tokensOf({ model, added_tokens: added }: TokenizerJson): Vocabulary {
  const { vocab } = model;
  const ids = new Map<string, number>(
    Array.isArray(vocab)
      ? (vocab as readonly (readonly [string, number])[]).map(([token], id) => [token, id])
      : vocabularyOf(model),
  );
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of ids) tokens[id] = token;
  for (const { content, id } of added ?? []) {
    ids.set(content, id);
    tokens[id] = content;
  }
  return { tokens, ids };
}

/**
 * A tokenizer for a model that begins here: as it is, or with a token that ends a text, where it has none.
 *
 * @throws HelioError HELIO-1004 as {@link loadTokenizer}
 */
export function withEndOfText(json: string, source: string, beside: FilesBeside = {}): string {
  const complete = explained(source, () => completed(json, beside));
  loadTokenizer(complete, source, { beside });
  return complete;
}

function completed(json: string, beside: FilesBeside): string {
  const parsed = parseTokenizerJson(json);
  const vocabulary = tokensOf(withDeclared(parsed, beside));
  const { after } = templateOf(parsed.post_processor);
  if (endOfTextOf(vocabulary, specialTokensOf(beside), after) !== undefined) return json;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const end = { id: vocabulary.tokens.length, content: END_OF_TEXT, ...flags };
  return `${JSON.stringify({ ...parsed, added_tokens: [...(parsed.added_tokens ?? []), end] }, null, 2)}\n`;
}
