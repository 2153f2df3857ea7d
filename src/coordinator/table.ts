/**
 * A map as plain data that is never changed: a change makes a new one, which shares with the old all but one leaf and the way to it. So an event of a run with ten
 * thousand islands copies some hundred references, whatever there are of them, and a snapshot is JSON. Two levels of 64: a hash array mapped trie (Bagwell 2001) of fixed
 * depth, whose leaves stay small up to a hundred thousand entries.
 */
export interface Table<T> {
  readonly size: number;
  readonly branches: readonly (readonly (Leaf<T> | null)[] | null)[];
}
type Leaf<T> = Readonly<Record<string, T>>;

const FAN_OUT = 64;
const EMPTY: readonly null[] = Array.from({ length: FAN_OUT }, () => null);

export const emptyTable: Table<never> = { size: 0, branches: EMPTY };

/** A name from outside must not find what every object has: hence own properties alone. */
export function entryOf<T>({ branches }: Table<T>, key: string): T | undefined {
  const at = placeOf(key);
  const leaf = branches[at.branch]?.[at.leaf];
  return leaf != null && Object.hasOwn(leaf, key) ? leaf[key] : undefined;
}

export const has = (table: Table<unknown>, key: string): boolean => entryOf(table, key) !== undefined;

export function withEntry<T>(table: Table<T>, key: string, value: T): Table<T> {
  const at = placeOf(key);
  const branch = table.branches[at.branch] ?? EMPTY;
  const leaf = branch[at.leaf] ?? {};
  const size = table.size + (Object.hasOwn(leaf, key) ? 0 : 1);
  return { size, branches: table.branches.with(at.branch, branch.with(at.leaf, { ...leaf, [key]: value })) };
}

export function withoutEntry<T>(table: Table<T>, key: string): Table<T> {
  const at = placeOf(key);
  const branch = table.branches[at.branch];
  const leaf = branch?.[at.leaf];
  if (branch == null || leaf == null || !Object.hasOwn(leaf, key)) return table;
  const { [key]: _, ...rest } = leaf;
  const kept = Object.keys(rest).length === 0 ? null : rest;
  return { size: table.size - 1, branches: table.branches.with(at.branch, branch.with(at.leaf, kept)) };
}

/** All at once, which is cheaper than one after the other. */
export function tableOf<T>(entries: Iterable<readonly [string, T]>): Table<T> {
  const leaves = new Map<number, Map<string, T>>();
  let size = 0;
  for (const [key, value] of entries) {
    const { branch, leaf } = placeOf(key);
    const at = branch * FAN_OUT + leaf;
    const there = leaves.get(at) ?? new Map<string, T>();
    if (!there.has(key)) size++;
    leaves.set(at, there.set(key, value));
  }
  const leafAt = (at: number): Leaf<T> | null => {
    const there = leaves.get(at);
    return there === undefined ? null : Object.fromEntries(there);
  };
  const used = new Set([...leaves.keys()].map((at) => Math.floor(at / FAN_OUT)));
  return {
    size,
    branches: EMPTY.map((_, i) => (used.has(i) ? EMPTY.map((__, j) => leafAt(i * FAN_OUT + j)) : null)),
  };
}

/** In an order that follows from the keys alone. */
export function entriesOf<T>({ branches }: Table<T>): readonly (readonly [string, T])[] {
  const all: (readonly [string, T])[] = [];
  for (const branch of branches) for (const leaf of branch ?? []) if (leaf !== null) all.push(...Object.entries(leaf));
  return all;
}

export const keysOf = (table: Table<unknown>): readonly string[] => entriesOf(table).map(([key]) => key);
export const valuesOf = <T>(table: Table<T>): readonly T[] => entriesOf(table).map(([, value]) => value);

/** With each value changed; the keys stay. */
export const mapTable = <T, U>({ size, branches }: Table<T>, change: (value: T, key: string) => U): Table<U> => ({
  size,
  branches: branches.map(
    (branch) =>
      branch?.map((leaf) =>
        leaf === null
          ? null
          : Object.fromEntries(Object.entries(leaf).map(([key, value]) => [key, change(value, key)])),
      ) ?? null,
  ),
});

/** FNV-1a. */
function placeOf(key: string): { readonly branch: number; readonly leaf: number } {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return { branch: hash & (FAN_OUT - 1), leaf: (hash >>> 6) & (FAN_OUT - 1) };
}
