import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { HelioError } from '../../errors.ts';
import { END_OF_TEXT, WORDS } from './bpe-training.ts';

/** Models of a `tokenizer.json` that the library computes. */
const KINDS: readonly string[] = ['BPE', 'Unigram', 'WordPiece'];

/** Turns text into token ids and back. */
export interface Tokenizer {
  readonly vocabularySize: number;
  /** Stands between documents, and begins a sample without a prompt. */
  readonly endOfTextId: number;
  /** How that token is written. */
  readonly endOfText: string;
  encode(text: string): readonly number[];
  decode(ids: readonly number[]): string;
}

/**
 * Loads a `tokenizer.json` in Hugging Face's format.
 *
 * @param source the file's name, for messages
 * @param endOfText the token that ends a document
 * @throws HelioError HELIO-1004 when it is no tokenizer of a kind that is known, or has no end-of-text token
 */
export function loadTokenizer(json: string, source: string, endOfText = END_OF_TEXT): Tokenizer {
  const foreign = (detail: string, cause?: unknown) =>
    new HelioError(
      'HELIO-1004',
      `${source} is not a tokenizer that can be used: ${detail}.`,
      'Give a tokenizer.json in Hugging Face format, or leave tokenizer.path out to train one.',
      { cause },
    );
  let tokenizer: HuggingFaceTokenizer;
  let vocabulary: readonly number[];
  try {
    const parsed = JSON.parse(json) as { model?: { type?: unknown; vocab?: object } };
    const { type, vocab = {} } = parsed.model ?? {};
    if (type !== undefined && !KINDS.includes(String(type)))
      throw new TypeError(`its model is of type ${String(type)}, and ${KINDS.join(', ')} are read`);
    // Unigram lists its tokens in order; the others say each one's number.
    vocabulary = Array.isArray(vocab) ? vocab.map((_, id) => id) : Object.values(vocab);
    tokenizer = new HuggingFaceTokenizer(parsed, { eos_token: endOfText });
  } catch (error) {
    throw foreign(error instanceof Error ? error.message : String(error), error);
  }
  const ids = [...vocabulary, ...tokenizer.get_added_tokens_decoder().keys()];
  if (ids.length === 0) throw foreign('it has no vocabulary');
  const endOfTextId = tokenizer.token_to_id(endOfText);
  if (endOfTextId === undefined) throw foreign(`it has no ${endOfText} token`);
  return {
    vocabularySize: ids.reduce((max, id) => Math.max(max, id), 0) + 1,
    endOfTextId,
    endOfText,
    encode: encoderOf(json, (text) => tokenizer.encode(text, { add_special_tokens: false }).ids),
    decode: (list) => (list.length === 0 ? '' : tokenizer.decode([...list], { skip_special_tokens: true })),
  };
}

type Encode = (text: string) => readonly number[];

/** Distinct words whose ids are remembered. */
const MAX_WORDS = 200_000;

/**
 * Where words are encoded each on its own (byte-level BPE without a normalizer), the library is asked once for each
 * distinct word: text has few of them, and encoding is some twenty times faster.
 */
function encoderOf(json: string, encode: Encode): Encode {
  const {
    normalizer,
    pre_tokenizer: cut,
    post_processor: after,
    added_tokens: added = [],
  } = JSON.parse(json) as {
    normalizer?: unknown;
    pre_tokenizer?: { type?: unknown; use_regex?: unknown; add_prefix_space?: unknown } | null;
    post_processor?: { type?: unknown } | null;
    added_tokens?: readonly { readonly content: string }[];
  };
  const independent =
    (normalizer ?? null) === null &&
    cut?.type === 'ByteLevel' &&
    cut.use_regex !== false &&
    cut.add_prefix_space === false &&
    [undefined, null, 'ByteLevel'].includes(after?.type as string | null | undefined);
  if (!independent) return encode;
  const known = new Map<string, readonly number[]>();
  return (text) => {
    if (added.some(({ content }) => text.includes(content))) return encode(text);
    const ids: number[] = [];
    for (const [word] of text.matchAll(WORDS)) {
      let part = known.get(word);
      if (part === undefined) {
        part = encode(word);
        if (known.size < MAX_WORDS) known.set(word, part);
      }
      for (const id of part) ids.push(id);
    }
    return ids;
  };
}
