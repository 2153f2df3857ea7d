import { type Part, vocabularyOf } from './tokenizer-json.ts';

/** A model turns one word into token ids. */
export type WordModel = (word: string) => readonly number[];

/** A pair of ids as one number: no vocabulary has 2²⁶ tokens. */
const PAIR = 2 ** 26;
/** A rank and a place as one number, so that the lowest is the merge that comes first: no word has 2²⁴ characters. */
const PLACES = 2 ** 24;

/**
 * Byte-pair encoding (Sennrich et al., arXiv 1508.07909) as Hugging Face's `tokenizers` computes it: a merge's place in the list is its rank,
 * the lowest rank is merged first, of equals the leftmost.
 *
 * @throws TypeError when merges name tokens that are not there
 */
export function bpe(part: Part): WordModel {
  const vocabulary = vocabularyOf(part);
  const { unk_token: unknown, fuse_unk: fuse, byte_fallback: fallback, ignore_merges: whole } = part;
  const prefix = String(part.continuing_subword_prefix ?? '');
  const suffix = String(part.end_of_word_suffix ?? '');
  const unknownId = typeof unknown === 'string' ? vocabulary.get(unknown) : undefined;
  const merges = mergesOf(part, vocabulary, prefix.length);
  const byteIds = fallback === true ? byteFallbackIds(vocabulary) : undefined;

  const symbolsOf = (word: string): number[] => {
    const ids: number[] = [];
    const characters = [...word];
    let afterUnknown = false;
    characters.forEach((character, i) => {
      const spelled = (i === 0 ? '' : prefix) + character + (i === characters.length - 1 ? suffix : '');
      const id = vocabulary.get(spelled);
      const bytes = id === undefined && byteIds !== undefined ? bytesOf(spelled, byteIds) : undefined;
      if (id !== undefined) ids.push(id);
      else if (bytes !== undefined) ids.push(...bytes);
      else if (unknownId !== undefined && !(fuse === true && afterUnknown)) ids.push(unknownId);
      afterUnknown = id === undefined && bytes === undefined;
    });
    return ids;
  };
  return (word) => {
    const entire = whole === true ? vocabulary.get(word) : undefined;
    return entire === undefined ? merge(symbolsOf(word), merges) : [entire];
  };
}

/** What pairs become, and in which order. */
interface Merges {
  /** By pair, its place in the list. */
  readonly ranks: ReadonlyMap<number, number>;
  /** By rank, the token that it makes. */
  readonly makes: Uint32Array;
}

function mergesOf({ merges }: Part, vocabulary: ReadonlyMap<string, number>, prefixLength: number): Merges {
  if (!Array.isArray(merges)) throw new TypeError('it has no merges');
  const ranks = new Map<number, number>();
  const makes = new Uint32Array(merges.length);
  (merges as readonly (string | readonly [string, string])[]).forEach((pair, rank) => {
    const [left = '', right = ''] = typeof pair === 'string' ? pair.split(' ') : pair;
    const made = vocabulary.get(left + right.slice(prefixLength));
    const [a, b] = [vocabulary.get(left), vocabulary.get(right)];
    if (a === undefined || b === undefined || made === undefined)
      throw new TypeError(`its merge ${JSON.stringify(pair)} names tokens that are not in the vocabulary`);
    ranks.set(a * PAIR + b, rank);
    makes[rank] = made;
  });
  return { ranks, makes };
}

/** By byte, the token `<0xNN>`, where there is one. */
export const byteFallbackIds = (vocabulary: ReadonlyMap<string, number>): readonly (number | undefined)[] =>
  Array.from({ length: 256 }, (_, byte) => vocabulary.get(byteToken(byte)));

export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** Ids of a text's bytes, where every one has its token. */
export function bytesOf(text: string, byteIds: readonly (number | undefined)[]): readonly number[] | undefined {
  const ids = Array.from(new TextEncoder().encode(text), (byte) => byteIds[byte]);
  return ids.includes(undefined) ? undefined : (ids as readonly number[]);
}

/** Merges until nothing more can be. Symbols are a linked list; a heap knows which pair comes first. */
function merge(ids: number[], { ranks, makes }: Merges): readonly number[] {
  const { length } = ids;
  if (length < 2) return ids;
  const next = Int32Array.from(ids, (_, i) => i + 1);
  const before = Int32Array.from(ids, (_, i) => i - 1);
  const rankAt = (place: number): number | undefined => {
    const after = next[place]!;
    return after >= length ? undefined : ranks.get(ids[place]! * PAIR + ids[after]!);
  };
  const heap = new NumberHeap();
  const consider = (place: number): void => {
    const rank = place < 0 ? undefined : rankAt(place);
    if (rank !== undefined) heap.push(rank * PLACES + place);
  };
  for (let place = 0; place + 1 < length; place++) consider(place);
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const [rank, place] = [Math.floor(top / PLACES), top % PLACES];
    // A pair that has changed since it was put here is no longer this merge.
    if (ids[place] === GONE || rankAt(place) !== rank) continue;
    const gone = next[place]!;
    ids[place] = makes[rank]!;
    ids[gone] = GONE;
    next[place] = next[gone]!;
    if (next[gone]! < length) before[next[gone]!] = place;
    consider(before[place]!);
    consider(place);
  }
  return ids.filter((id) => id !== GONE);
}

const GONE = -1;

/** The lowest number first. */
class NumberHeap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (items[above]! <= item) break;
      items[at] = items[above]!;
      at = above;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && items[below + 1]! < items[below]!) below++;
      if (items[below]! >= last) break;
      items[at] = items[below]!;
      at = below;
    }
    items[at] = last;
    return top;
  }
}
