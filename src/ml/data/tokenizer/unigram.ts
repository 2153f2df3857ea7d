import { byteFallbackIds, bytesOf, type WordModel } from './bpe.ts';
import type { Part } from './tokenizer-json.ts';

/** How much less than the least likely token one that is not known counts. */
const UNKNOWN_PENALTY = 10;

/**
 * The likeliest cut of a word into tokens (Kudo, arXiv 1804.10959), by Viterbi's algorithm, as Hugging Face's `tokenizers` computes it:
 * of equally likely ways to a place the one that was found first, by where the last token begins.
 */
export function unigram({ vocab, unk_id: unknown, byte_fallback: fallback }: Part): WordModel {
  const pieces = piecesOf(vocab);
  const unknownId = typeof unknown === 'number' && unknown < pieces.length ? unknown : undefined;
  const ids = new Map(pieces.map(([token], id) => [token, id]));
  const byteIds = fallback === true ? byteFallbackIds(ids) : undefined;
  const longest = pieces.reduce((max, [token]) => Math.max(max, token.length), 0);
  const unknownScore =
    pieces.reduce((min, [, score]) => Math.min(min, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;

  return (word) => {
    // For each place between two characters, the best way there: its score, where its last token begins and which it is.
    const scores = new Float64Array(word.length + 1);
    const begins = new Int32Array(word.length + 1).fill(-1);
    const tokens = new Int32Array(word.length + 1);
    const offer = (begin: number, end: number, score: number, token: number): void => {
      const candidate = scores[begin]! + score;
      if (begins[end] !== -1 && candidate <= scores[end]!) return;
      [scores[end], begins[end], tokens[end]] = [candidate, begin, token];
    };
    for (let begin = 0; begin < word.length; ) {
      const step = word.codePointAt(begin)! > 0xffff ? 2 : 1;
      let single = false;
      for (let end = begin + 1; end <= word.length && end - begin <= longest; end++) {
        const id = ids.get(word.slice(begin, end));
        if (id === undefined) continue;
        offer(begin, end, pieces[id]![1], id);
        if (end - begin === step) single = true;
      }
      if (!single) offer(begin, begin + step, unknownScore, UNKNOWN);
      begin += step;
    }
    return backtrack(word, begins, tokens, unknownId).flatMap(({ text, id }) => {
      if (id !== UNKNOWN) return [id];
      // Unknown characters side by side are one token, unless the vocabulary has them after all.
      const known = ids.get(text) ?? (byteIds === undefined ? undefined : bytesOf(text, byteIds));
      if (known !== undefined) return known;
      if (unknownId === undefined) throw new TypeError('it has no token for what it does not know');
      return [unknownId];
    });
  };
}

const UNKNOWN = -1;

function backtrack(word: string, begins: Int32Array, tokens: Int32Array, unknownId: number | undefined) {
  const found: { text: string; id: number }[] = [];
  for (let end = word.length; end > 0; end = begins[end]!) {
    const text = word.slice(begins[end]!, end);
    const id = tokens[end]! === unknownId ? UNKNOWN : tokens[end]!;
    const later = found.at(-1);
    if (id === UNKNOWN && later?.id === UNKNOWN && unknownId !== undefined) later.text = text + later.text;
    else found.push({ text, id });
  }
  return found.reverse();
}

function piecesOf(vocab: unknown): readonly (readonly [token: string, score: number])[] {
  if (!Array.isArray(vocab) || vocab.length === 0) throw new TypeError('it has no vocabulary');
  for (const piece of vocab as readonly unknown[]) {
    if (!Array.isArray(piece) || typeof piece[0] !== 'string' || typeof piece[1] !== 'number')
      throw new TypeError(`its vocabulary has the entry ${JSON.stringify(piece)}`);
  }
  return vocab as readonly (readonly [string, number])[];
}
