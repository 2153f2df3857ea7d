import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emptyTable,
  entriesOf,
  entryOf,
  has,
  keysOf,
  mapTable,
  type Table,
  tableOf,
  valuesOf,
  withEntry,
  withoutEntry,
} from '../../src/coordinator/table.ts';

/** Names that every object has something under. */
const INHERITED = ['constructor', 'tostring', 'toString', 'valueOf', 'hasOwnProperty', '__proto__', '__defineGetter__'];
const key = fc.oneof(fc.constantFrom(...INHERITED), fc.string({ maxLength: 3 }));
const change = fc.record({ key, value: fc.option(fc.nat()) });

describe('a table', () => {
  it('is a map, whatever is put in and taken out', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
        const model = new Map<string, number>();
        let table: Table<number> = emptyTable;
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
        expect(sorted(entriesOf(tableOf(model)))).toEqual(sorted(model));
        expect(valuesOf(mapTable(table, (n) => n + 1))).toEqual(valuesOf(table).map((n) => n + 1));
        // A snapshot of it is JSON.
        expect(sorted(entriesOf(JSON.parse(JSON.stringify(table)) as Table<number>))).toEqual(sorted(model));
      }),
    );
  });

  it('leaves the one that it was made from as it was', () => {
    const before = tableOf(Array.from({ length: 500 }, (_, i) => [`island-${i}`, i] as const));
    const copy = structuredClone(before);
    withoutEntry(withEntry(withEntry(before, 'island-7', -1), 'new', 1), 'island-8');
    expect(before).toEqual(copy);
  });

  it('shares with the one before all but a few places, however many there are', () => {
    for (const size of [100, 10_000, 100_000]) {
      const before = tableOf(Array.from({ length: size }, (_, i) => [`island-${i}`, i] as const));
      const after = withEntry(before, 'island-42', -1);
      const branches = after.branches.filter((branch, i) => branch !== before.branches[i]);
      expect(branches).toHaveLength(1);
      const at = after.branches.indexOf(branches[0]!);
      const leaves = branches[0]!.filter((leaf, i) => leaf !== before.branches[at]?.[i]);
      expect(leaves).toHaveLength(1);
      expect(Object.keys(leaves[0]!).length).toBeLessThan(60);
    }
  });
});
