import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { HelioError } from '../../errors.ts';
import { END_OF_TEXT } from './bpe-training.ts';
import type { Document } from './corpus.ts';

/** Turns text into token ids and back. */
export interface Tokenizer {
  readonly vocabularySize: number;
  /** Stands between documents, and begins a sample without a prompt. */
  readonly endOfTextId: number;
  encode(text: string): readonly number[];
  decode(ids: readonly number[]): string;
}

/**
 * Loads a `tokenizer.json` in Hugging Face's format.
 *
 * @param source the file's name, for messages
 * @throws HelioError HELIO-1004 when it is no tokenizer or has no end-of-text token
 */
export function loadTokenizer(json: string, source: string): Tokenizer {
  const foreign = (detail: string, cause?: unknown) =>
    new HelioError(
      'HELIO-1004',
      `${source} is not a tokenizer that can be used: ${detail}.`,
      'Give a tokenizer.json in Hugging Face format, or leave tokenizer.path out to train one.',
      { cause },
    );
  let tokenizer: HuggingFaceTokenizer;
  let vocabulary: Record<string, number>;
  try {
    const parsed = JSON.parse(json) as { model?: { vocab?: Record<string, number> } };
    vocabulary = { ...parsed.model?.vocab };
    tokenizer = new HuggingFaceTokenizer(parsed, { eos_token: END_OF_TEXT });
  } catch (error) {
    throw foreign(error instanceof Error ? error.message : String(error), error);
  }
  const ids = [...Object.values(vocabulary), ...tokenizer.get_added_tokens_decoder().keys()];
  if (ids.length === 0) throw foreign('it has no vocabulary');
  const endOfTextId = tokenizer.token_to_id(END_OF_TEXT);
  if (endOfTextId === undefined) throw foreign(`it has no ${END_OF_TEXT} token`);
  return {
    vocabularySize: ids.reduce((max, id) => Math.max(max, id), 0) + 1,
    endOfTextId,
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids,
    decode: (list) => (list.length === 0 ? '' : tokenizer.decode([...list], { skip_special_tokens: true })),
  };
}

/** Documents laid end to end as ids, an end-of-text token after each. */
export function tokenize(tokenizer: Tokenizer, documents: readonly Document[]): Uint32Array {
  const parts = documents.map(({ text }) => encodeLong(tokenizer, text));
  const stream = new Uint32Array(parts.reduce((sum, part) => sum + part.length + 1, 0));
  let at = 0;
  for (const part of parts) {
    stream.set(part, at);
    stream[at + part.length] = tokenizer.endOfTextId;
    at += part.length + 1;
  }
  return stream;
}

const CHUNK_CHARACTERS = 16_384;

/** Encodes a long text piecewise, cut where a line ends, so that no single call sees megabytes. */
function encodeLong(tokenizer: Tokenizer, text: string): number[] {
  const ids: number[] = [];
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start + CHUNK_CHARACTERS);
    const end = newline === -1 ? text.length : newline + 1;
    for (const id of tokenizer.encode(text.slice(start, end))) ids.push(id);
    start = end;
  }
  return ids;
}
