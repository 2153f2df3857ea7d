import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';

/** The linter's rule of `scripts/no-names-in-objects.grit`: an island may be called `constructor`, which `in` finds in every object. */
const root = path.resolve(import.meta.dirname, '..');
const RULE = 'no-names-in-objects.grit';
const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-lint-'));
copyFileSync(path.join(root, 'scripts', RULE), path.join(folder, RULE));
writeFileSync(path.join(folder, 'biome.json'), JSON.stringify({ plugins: [`./${RULE}`] }));
afterAll(() => rmSync(folder, { recursive: true }));

function lint(code: string): { readonly passes: boolean; readonly said: string } {
  writeFileSync(path.join(folder, 'sample.ts'), code);
  const args = [path.join(root, 'node_modules/@biomejs/biome/bin/biome'), 'lint', 'sample.ts'];
  const { status, error, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  if (error !== undefined) throw error;
  return { passes: status === 0, said: stdout + stderr };
}
const asking = (condition: string): string => `export const f = (name: string, known: { at?: object }): boolean =>
  (name === '' && known.at === undefined) || (${condition});
`;

it.each(['name in known', '!(name in known.at!)', '(name as string) in known', 'name.toLowerCase() in known'])(
  'the linter refuses: %s',
  (condition) => {
    const { passes, said } = lint(asking(condition));
    expect(passes).toBe(false);
    expect(said).toContain('Object.hasOwn');
  },
);

it.each([
  asking("'at' in known"),
  asking('Object.hasOwn(known, name)'),
  'for (const each in { a: 1 }) console.log(each);\n',
  'export class C {\n  #x = 1;\n  is(o: object) {\n    return #x in o && this.#x > 0;\n  }\n}\n',
])('the linter allows: %s', (code) => {
  const { passes, said } = lint(code);
  expect([passes, passes ? '' : said]).toEqual([true, '']);
});

it('and the project is linted with it', () => {
  const { plugins } = JSON.parse(readFileSync(path.join(root, 'biome.json'), 'utf8')) as { plugins: readonly string[] };
  expect(plugins).toContain(`./scripts/${RULE}`);
});
