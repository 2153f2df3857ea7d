/** The parts of Hugging Face's `tokenizer.json` that are read here. What a part's `type` says decides which other keys it has. */
export interface TokenizerJson {
  readonly added_tokens?: readonly AddedToken[] | null;
  readonly normalizer?: Part | null;
  readonly pre_tokenizer?: Part | null;
  readonly post_processor?: Part | null;
  readonly decoder?: Part | null;
  readonly model: Part;
}

export interface Part {
  readonly type?: string;
  readonly [key: string]: unknown;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
  readonly special?: boolean;
}

/** A pattern of a normalizer, pre-tokenizer or decoder: a string as it is, or a regular expression in Oniguruma's syntax. */
export type Pattern = { readonly String: string } | { readonly Regex: string };

/** Token ids are numbers of rows of an embedding: none has more. */
export const MAX_TOKEN_ID = 2 ** 24;

/** @throws TypeError that says what is wrong, without the file's name */
export function parseTokenizerJson(text: string): TokenizerJson {
  const parsed = JSON.parse(text) as TokenizerJson | null;
  if (typeof parsed !== 'object' || typeof parsed?.model !== 'object' || parsed.model === null)
    throw new TypeError('it has no model');
  for (const { id, content } of parsed.added_tokens ?? []) {
    if (typeof content !== 'string' || content === '' || !isTokenId(id))
      throw new TypeError(`its added token ${JSON.stringify(content)} has the id ${JSON.stringify(id)}`);
  }
  return parsed;
}

export const isTokenId = (id: unknown): id is number =>
  Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_TOKEN_ID;

/** The vocabulary of a BPE or WordPiece. @throws TypeError */
export function vocabularyOf({ vocab }: Part): ReadonlyMap<string, number> {
  if (typeof vocab !== 'object' || vocab === null) throw new TypeError('it has no vocabulary');
  const ids = new Map(Object.entries(vocab as Readonly<Record<string, number>>));
  if (ids.size === 0) throw new TypeError('it has no vocabulary');
  for (const [token, id] of ids) {
    if (!isTokenId(id)) throw new TypeError(`its token ${JSON.stringify(token)} has the id ${JSON.stringify(id)}`);
  }
  return ids;
}

/** Parts that are computed here, by their types, and how. @throws TypeError that names what is known */
export function choose<T>(what: string, { type }: Part, known: Readonly<Record<string, T>>): T {
  const entry = type !== undefined && Object.hasOwn(known, type) ? known[type] : undefined;
  if (entry !== undefined) return entry;
  throw new TypeError(`its ${what} is of type ${String(type)}, and ${Object.keys(known).join(', ')} are read`);
}
