import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emptyMap,
  entriesOf,
  entryOf,
  has,
  keysOf,
  mapFrom,
  mapValues,
  type PersistentMap,
  valuesOf,
  withEntry,
  withoutEntry,
} from '../../src/coordinator/persistent-map.ts';

/** Names that every object has something under. */
const INHERITED = ['constructor', 'tostring', 'toString', 'valueOf', 'hasOwnProperty', '__proto__', '__defineGetter__'];
const key = fc.oneof(fc.constantFrom(...INHERITED), fc.string({ maxLength: 3 }));
const change = fc.record({ key, value: fc.option(fc.nat()) });

describe('a table', () => {
  it('is a map, whatever is put in and taken out', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
        const model = new Map<string, number>();
        let table: PersistentMap<number> = emptyMap;
        for (const { key: name, value } of changes) {
          expect(has(table, name)).toBe(model.has(name));
          if (value === null) {
            model.delete(name);
            table = withoutEntry(table, name);
          } else {
            model.set(name, value);
            table = withEntry(table, name, value);
          }
          expect(entryOf(table, name)).toBe(model.get(name));
          expect(table.size).toBe(model.size);
        }
        const sorted = (entries: Iterable<readonly [string, number]>) =>
          [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
        expect(sorted(entriesOf(table))).toEqual(sorted(model));
        expect(keysOf(table)).toHaveLength(model.size);
        expect(sorted(entriesOf(mapFrom(model)))).toEqual(sorted(model));
        expect(valuesOf(mapValues(table, (n) => n + 1))).toEqual(valuesOf(table).map((n) => n + 1));
        // A snapshot of it is JSON.
        expect(sorted(entriesOf(JSON.parse(JSON.stringify(table)) as PersistentMap<number>))).toEqual(sorted(model));
      }),
    );
  });

  it('leaves the one that it was made from as it was', () => {
    const before = mapFrom(Array.from({ length: 500 }, (_, i) => [`island-${i}`, i] as const));
    const copy = structuredClone(before);
    withoutEntry(withEntry(withEntry(before, 'island-7', -1), 'new', 1), 'island-8');
    expect(before).toEqual(copy);
  });

  it('is in the order of its keys, however it came to be', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 300 }), (keys) => {
        const sorted = keys.toSorted((a, b) => (a < b ? -1 : 1));
        expect(keysOf(built(keys))).toEqual(sorted);
        expect(keysOf(mapFrom(keys.map((name) => [name, 1])))).toEqual(sorted);
      }),
      { numRuns: 30 },
    );
  });

  it('copies a few small nodes with a change, however many entries there are and in whatever order names were chosen', () => {
    const names = (size: number) => Array.from({ length: size }, (_, i) => `island-${String(i).padStart(6, '0')}`);
    const orders: Readonly<Record<string, (size: number) => readonly string[]>> = {
      rising: names,
      falling: (size) => names(size).toReversed(),
      // Between the last two each time.
      inward: (size) => names(size).map((name, i, all) => (i % 2 === 0 ? name : all.at(-i)!)),
      shuffled: (size) => names(size).toSorted((a, b) => Math.sin(+a.slice(7)) - Math.sin(+b.slice(7))),
    };
    for (const [order, namesOf] of Object.entries(orders))
      for (const size of [100, 20_000]) {
        const before = built(namesOf(size));
        for (const name of ['island-000042', 'a', 'z']) {
          const known = new Set(nodesOf(before.root));
          const copied = nodesOf(withEntry(before, name, -1).root).filter((node) => !known.has(node));
          expect([order, copied.length]).toEqual([order, expect.toSatisfy((n: number) => n <= 7)]);
          for (const node of copied) expect(widthOf(node)).toBeLessThanOrEqual(32);
        }
      }
  });

  it('shrinks again', () => {
    const names = Array.from({ length: 5_000 }, (_, i) => `island-${i}`);
    let table: PersistentMap<number> = built(names);
    for (const name of names.slice(1)) table = withoutEntry(table, name);
    expect(nodesOf(table.root)).toHaveLength(1);
    expect(withoutEntry(table, names[0]!)).toEqual(emptyMap);
  });
});

type Node = PersistentMap<number>['root'];

const built = (keys: readonly string[]): PersistentMap<number> => {
  let table: PersistentMap<number> = emptyMap;
  for (const key of keys) table = withEntry(table, key, 1);
  return table;
};

/** Itself, and all below it. */
const nodesOf = (node: Node): readonly Node[] =>
  'children' in node ? [node, ...node.children.flatMap(nodesOf)] : [node];
const widthOf = (node: Node): number => ('children' in node ? node.children : node.keys).length;
