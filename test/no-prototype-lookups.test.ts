import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

/**
 * A name from outside must not find what every object has: an island may be called `constructor`. So where names are looked up, `in` takes a literal on its left (it asks for a kind of
 * object), and tables and `Object.hasOwn` do the rest.
 */
const root = path.resolve(import.meta.dirname, '../src');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => /\.ts$/.test(file));

/** `NAME in OBJECT` in an expression; not of a `for`, a type, or a text. */
const LOOKUP = /(?<![\w'"`)])(?!const |let |var )([A-Za-z_$][\w$.]*(?:\([^()]*\))?!?) in ([A-Za-z_$][\w$.]*)/;

it('nobody looks a name up with `in`', () => {
  const found = files.flatMap((file) =>
    readFileSync(path.join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, i) => {
        const code = line.replace(/\/\/.*$|\/?\*.*$|'[^']*'|"[^"]*"|`[^`]*`/g, "''");
        const hit = LOOKUP.exec(code);
        if (hit === null || /\bfor \(|\[\w+ in |^\s*(type|export type|readonly) |\bkeyof\b/.test(code)) return [];
        return [`${file}:${i + 1}: ${line.trim()}`];
      }),
  );
  expect(found).toEqual([]);
});

it('and this would find it', () => {
  for (const line of ['if (name in stage.arrived) return;', 'return !(island in known);', 'a.b in c'])
    expect(LOOKUP.test(line)).toBe(true);
});
