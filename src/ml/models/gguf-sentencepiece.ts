import { byteToken } from '../data/tokenizer/bpe.ts';
import { type Part, type Pattern, type TokenizerJson, vocabularyOf } from '../data/tokenizer/tokenizer-json.ts';

/**
 * SentencePiece's byte-pair encoding, which llama.cpp calls `llama` (`llm_tokenizer_spm`): of all neighbours that together are a token it joins those
 * whose token has the highest score. A `tokenizer.json` has a list of merges in the place of scores, and may say things that no scores can.
 */
export interface SentencePiece {
  /** By id, for every token that has one. */
  readonly scores: ReadonlyMap<number, number>;
  /** Ids of the tokens that stand for a byte. */
  readonly bytes: ReadonlySet<number>;
  readonly unknown: number | undefined;
  /** Whether a space is put before a text. */
  readonly spacePrefix: boolean;
}

const SPACE = '▁';

/** @returns what keeps llama.cpp from reading text as the tokenizer does, where something does */
export function sentencePieceOf(json: TokenizerJson): SentencePiece | string {
  const { model } = json;
  const spacePrefix = spacePrefixOf(json);
  if (spacePrefix === undefined)
    return `a BPE with normalizer ${typeOf(json.normalizer)} and pre-tokenizer ${typeOf(json.pre_tokenizer)}`;
  const vocabulary = vocabularyOf(model);
  const bytes = Array.from({ length: 256 }, (_, byte) => vocabulary.get(byteToken(byte)));
  if (model.byte_fallback !== true || bytes.includes(undefined))
    return 'a BPE of characters without a token for every byte';
  if (splitsWords(json) && [...vocabulary.keys()].some((token) => token.lastIndexOf(SPACE) > 0))
    return 'one that cuts between words, and has tokens of several words';
  const scores = scoresOf(model, vocabulary);
  if (scores === undefined) return 'a BPE whose order of merges cannot be said by a score for each token';
  const { unk_token: unknown } = model;
  return {
    scores,
    bytes: new Set(bytes as readonly number[]),
    unknown: typeof unknown === 'string' ? vocabulary.get(unknown) : undefined,
    spacePrefix,
  };
}

const typeOf = (part: Part | null | undefined): string => part?.type ?? 'none';

/** Spaces become ▁, and one may be put before the text: what converters write for that. Undefined for anything else. */
function spacePrefixOf({ normalizer, pre_tokenizer: cut }: TokenizerJson): boolean | undefined {
  const steps =
    normalizer?.type === 'Sequence'
      ? (normalizer.normalizers as readonly Part[])
      : normalizer == null
        ? []
        : [normalizer];
  if (cut?.type === 'Metaspace') {
    const scheme = cut.prepend_scheme ?? (cut.add_prefix_space === false ? 'never' : 'always');
    return steps.length === 0 && (cut.replacement ?? SPACE) === SPACE ? scheme !== 'never' : undefined;
  }
  const last = steps.at(-1);
  if (last === undefined || !isSpaces(last) || steps.length > 2) return undefined;
  // After that there is no space left to split at.
  if (cut != null && !(cut.type === 'Split' && (cut.pattern as { String?: string }).String === ' ')) return undefined;
  if (steps.length === 1) return false;
  return steps[0]!.type === 'Prepend' && steps[0]!.prepend === SPACE ? true : undefined;
}

const isSpaces = ({ type, pattern, content }: Part): boolean =>
  type === 'Replace' && (pattern as Partial<{ String: string }> & Pattern).String === ' ' && content === SPACE;

const splitsWords = ({ pre_tokenizer: cut }: TokenizerJson): boolean =>
  cut?.type === 'Metaspace' && cut.split !== false;

/**
 * A token's score is minus the rank of the merges that make it. That says the same where these follow one another, and where every two tokens
 * that make a third one are a merge.
 */
function scoresOf(model: Part, vocabulary: ReadonlyMap<string, number>): ReadonlyMap<number, number> | undefined {
  const merges = (model.merges as readonly (string | readonly [string, string])[]).map((pair) =>
    typeof pair === 'string' ? (pair.split(' ') as [string, string]) : pair,
  );
  const scores = new Map<number, number>();
  const known = new Set<string>();
  let before: number | undefined;
  for (const [rank, [left, right]] of merges.entries()) {
    const id = vocabulary.get(left + right)!;
    if (scores.has(id) && id !== before) return undefined;
    if (!scores.has(id)) scores.set(id, -rank);
    before = id;
    known.add(left + SEPARATOR + right);
  }
  for (const token of vocabulary.keys()) {
    const characters = [...token];
    for (let i = 1, left = characters[0]!; i < characters.length; left += characters[i++]!) {
      const right = token.slice(left.length);
      if (vocabulary.has(left) && vocabulary.has(right) && !known.has(left + SEPARATOR + right)) return undefined;
    }
  }
  return scores;
}

/** No token of text holds it: it is the byte token `<0x00>`. */
const SEPARATOR = '\0';
