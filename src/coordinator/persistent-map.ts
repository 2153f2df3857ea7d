/**
 * A persistent (immutable) map as plain data: a change makes a new map, which shares all but a few small nodes with the old one. An event of a run with ten
 * thousand islands copies some hundred references, and a snapshot is JSON. It is a B+ tree ordered by key: no choice of names can degrade it, as collisions
 * degrade a hash table, and keys are never property names, so `constructor` is a name like any other.
 */
export interface PersistentMap<T> {
  readonly size: number;
  readonly root: Node<T>;
}
type Node<T> = Leaf<T> | Branch<T>;
interface Leaf<T> {
  readonly keys: readonly string[];
  readonly values: readonly T[];
}
interface Branch<T> {
  /** Of each child a key that is not above its first. */
  readonly from: readonly string[];
  readonly children: readonly Node<T>[];
}

/** Entries of a leaf, and children of a branch. */
const MOST = 32;

export const emptyMap: PersistentMap<never> = { size: 0, root: { keys: [], values: [] } };

const isLeaf = <T>(node: Node<T>): node is Leaf<T> => (node as Partial<Leaf<T>>).keys !== undefined;

export function entryOf<T>({ root }: PersistentMap<T>, key: string): T | undefined {
  let node = root;
  while (!isLeaf(node)) node = node.children[childFor(node, key)]!;
  const at = lastUpTo(node.keys, key);
  return node.keys[at] === key ? node.values[at] : undefined;
}

export const has = (table: PersistentMap<unknown>, key: string): boolean => entryOf(table, key) !== undefined;

export function withEntry<T>(table: PersistentMap<T>, key: string, value: T): PersistentMap<T> {
  const size = table.size + (has(table, key) ? 0 : 1);
  const nodes = put(table.root, key, value);
  return { size, root: nodes.length === 1 ? nodes[0]! : branchOf(nodes) };
}

/** @returns the node, or its two halves */
function put<T>(node: Node<T>, key: string, value: T): readonly Node<T>[] {
  if (isLeaf(node)) {
    const { keys, values } = node;
    const at = lastUpTo(keys, key);
    if (keys[at] === key) return [{ keys, values: values.with(at, value) }];
    const longer = { keys: keys.toSpliced(at + 1, 0, key), values: values.toSpliced(at + 1, 0, value) };
    return longer.keys.length <= MOST ? [longer] : halves(longer.keys, longer.values).map(leafOf);
  }
  const { from, children } = node;
  const at = childFor(node, key);
  const nodes = put(children[at]!, key, value);
  if (nodes.length === 1 && key >= from[at]!) return [{ from, children: children.with(at, nodes[0]!) }];
  const longer = { from: from.toSpliced(at, 1, ...nodes.map(firstKey)), children: children.toSpliced(at, 1, ...nodes) };
  return longer.from.length <= MOST
    ? [longer]
    : halves(longer.from, longer.children).map(([firsts, part]) => ({ from: firsts, children: part }));
}

export function withoutEntry<T>(table: PersistentMap<T>, key: string): PersistentMap<T> {
  if (!has(table, key)) return table;
  let root = take(table.root, key) ?? emptyMap.root;
  while (!isLeaf(root) && root.children.length === 1) root = root.children[0]!;
  return { size: table.size - 1, root };
}

/** Nodes may become small, but not empty. */
function take<T>(node: Node<T>, key: string): Node<T> | undefined {
  if (isLeaf(node)) {
    const at = lastUpTo(node.keys, key);
    if (node.keys.length === 1) return undefined;
    return { keys: node.keys.toSpliced(at, 1), values: node.values.toSpliced(at, 1) };
  }
  const { from, children } = node;
  const at = childFor(node, key);
  const child = take(children[at]!, key);
  if (child !== undefined) return { from, children: children.with(at, child) };
  return children.length === 1 ? undefined : { from: from.toSpliced(at, 1), children: children.toSpliced(at, 1) };
}

/** All at once, which is cheaper than one after the other. Of two values for one key the later counts. */
export function mapFrom<T>(entries: Iterable<readonly [string, T]>): PersistentMap<T> {
  const sorted = [...new Map(entries)].sort(([a], [b]) => (a < b ? -1 : 1));
  if (sorted.length === 0) return emptyMap;
  let nodes: readonly Node<T>[] = pieces(sorted).map((piece) =>
    leafOf([piece.map(([key]) => key), piece.map(([, value]) => value)]),
  );
  while (nodes.length > 1) nodes = pieces(nodes).map(branchOf);
  return { size: sorted.length, root: nodes[0]! };
}

/** In the order of the keys, the first `most`: of those that are left out nothing is looked at. */
export function entriesOf<T>(
  { root }: PersistentMap<T>,
  most = Number.POSITIVE_INFINITY,
): readonly (readonly [string, T])[] {
  const found: (readonly [string, T])[] = [];
  const walk = (node: Node<T>): void => {
    if (isLeaf(node)) for (const [i, key] of node.keys.entries()) found.push([key, node.values[i]!]);
    else for (const child of node.children) if (found.length < most) walk(child);
  };
  walk(root);
  return found.length > most ? found.slice(0, most) : found;
}

export const keysOf = (table: PersistentMap<unknown>): readonly string[] => entriesOf(table).map(([key]) => key);
export const valuesOf = <T>(table: PersistentMap<T>): readonly T[] => entriesOf(table).map(([, value]) => value);

/** With each value changed; the keys stay. */
export function mapValues<T, U>(
  { size, root }: PersistentMap<T>,
  change: (value: T, key: string) => U,
): PersistentMap<U> {
  const changed = (node: Node<T>): Node<U> =>
    isLeaf(node)
      ? { keys: node.keys, values: node.values.map((value, i) => change(value, node.keys[i]!)) }
      : { from: node.from, children: node.children.map(changed) };
  return { size, root: changed(root) };
}

const leafOf = <T>([keys, values]: readonly [readonly string[], readonly T[]]): Leaf<T> => ({ keys, values });
const branchOf = <T>(children: readonly Node<T>[]): Branch<T> => ({ from: children.map(firstKey), children });
const firstKey = (node: Node<unknown>): string => (isLeaf(node) ? node.keys[0]! : node.from[0]!);
const childFor = ({ from }: Branch<unknown>, key: string): number => Math.max(0, lastUpTo(from, key));

function halves<K, V>(keys: readonly K[], values: readonly V[]): readonly (readonly [readonly K[], readonly V[]])[] {
  const middle = keys.length >> 1;
  return [
    [keys.slice(0, middle), values.slice(0, middle)],
    [keys.slice(middle), values.slice(middle)],
  ];
}

/** With room for more in each. */
const pieces = <T>(all: readonly T[]): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(all.length / ROOMY) }, (_, i) => all.slice(i * ROOMY, (i + 1) * ROOMY));
const ROOMY = (3 * MOST) / 4;

/** Place of the last that is not above a key; −1 where all are. */
function lastUpTo(sorted: readonly string[], key: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
