import { splitterOf } from './added-tokens.ts';
import { bpe, type WordModel } from './bpe.ts';
import { normalizerOf } from './normalizers.ts';
import { preTokenizerOf } from './pre-tokenizers.ts';
import { type AddedToken, choose, type Part, type TokenizerJson } from './tokenizer-json.ts';
import { unigram } from './unigram.ts';
import { wordPiece } from './word-piece.ts';

/**
 * Turns text into ids, with nothing before or after it: added tokens are found, the rest is normalized, cut into words, and each word given
 * to the model. These are the steps of Hugging Face's `tokenizers`, and the ids are the same.
 */
export interface Encoder {
  /** @param continues whether the text goes on where other text ended: then no space is put in front of it */
  encode(text: string, continues: boolean): number[];
  /** How an added token is written in the vocabulary: one that counts as normalized is looked for, and decoded, in that form. */
  spelling(token: AddedToken): string;
}

const MODELS: Readonly<Record<string, (part: Part) => WordModel>> = {
  BPE: bpe,
  Unigram: unigram,
  WordPiece: wordPiece,
};

/** Distinct words whose ids are remembered, and how long one may be. */
const MAX_WORDS = 200_000;
const MAX_WORD_LENGTH = 64;

/** @throws TypeError that names the part that is not computed here */
export function encoderOf(json: TokenizerJson): Encoder {
  const model = choose('model', withType(json.model), MODELS)(json.model);
  const added = json.added_tokens ?? [];
  // A token that counts as normalized is looked for after normalization; special ones are not, where nothing is said.
  const isNormalized = ({ normalized, special }: AddedToken): boolean => normalized ?? special !== true;
  const before = splitterOf(added.filter((token) => !isNormalized(token)));
  const [normalize, normalizeOn] = [normalizerOf(json.normalizer, false), normalizerOf(json.normalizer, true)];
  const { cut, spell } = preTokenizerOf(json.pre_tokenizer);
  const encodeWord = remembering((word) => model(spell(word)));
  const spelling = (token: AddedToken): string => (isNormalized(token) ? normalize(token.content) : token.content);
  const after = splitterOf(added.filter(isNormalized).map((token) => ({ ...token, content: spelling(token) })));
  return {
    spelling,
    encode: (text, continues) => {
      const ids: number[] = [];
      for (const outer of before(text.toWellFormed())) {
        if (outer.kind === 'token') {
          ids.push(outer.id);
          continue;
        }
        const goesOn = continues && outer.begin === 0;
        for (const inner of after((goesOn ? normalizeOn : normalize)(outer.text))) {
          if (inner.kind === 'token') {
            ids.push(inner.id);
            continue;
          }
          const place = outer.begin > 0 || inner.begin > 0 ? 'later' : continues ? 'goes on' : 'first';
          for (const word of cut(inner.text, place)) for (const id of encodeWord(word)) ids.push(id);
        }
      }
      return ids;
    },
  };
}

/** Files of old do not say what their model is: its keys do. */
function withType(model: Part): Part {
  if (model.type !== undefined) return model;
  const type = Array.isArray(model.vocab) ? 'Unigram' : 'merges' in model ? 'BPE' : 'WordPiece';
  return { ...model, type };
}

/** Text has few distinct words: each is computed once. */
function remembering(model: WordModel): WordModel {
  const known = new Map<string, readonly number[]>();
  return (word) => {
    const found = known.get(word);
    if (found !== undefined) return found;
    const ids = model(word);
    // A part of a string keeps the whole of it in memory: a copy does not.
    if (known.size < MAX_WORDS && word.length <= MAX_WORD_LENGTH)
      known.set(Buffer.from(word, 'utf16le').toString('utf16le'), ids);
    return ids;
  };
}
