import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.join('docs', file)),
];

describe('the docs', () => {
  it.each(pages)('%s links to what is there', (page) => {
    const text = readFileSync(path.join(root, page), 'utf8');
    const missing = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target!.replace(/#.*$/, ''))
      .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
      .filter((target) => !existsSync(path.join(root, path.dirname(page), target)));
    expect(missing).toEqual([]);
  });

  it('models.md has a line for each base of the matrix', () => {
    const text = readFileSync(path.join(root, 'docs/models.md'), 'utf8');
    const missing = readdirSync(path.join(root, 'test/fixtures/bases')).filter((name) => !text.includes(`| ${name}, `));
    expect(missing, 'npm run bases').toEqual([]);
  });

  it('security.md names tests that are there', () => {
    const text = readFileSync(path.join(root, 'docs/security.md'), 'utf8');
    const cells = [...text.matchAll(/^\| .* \| ([^|]*) \|$/gm)].map(([, cell]) => cell!);
    const brackets = [...text.matchAll(/\(((?:`[\w/-]+`(?:, )?)+)\)/g)].map(([, list]) => list!);
    const names = [...cells, ...brackets].flatMap((list) =>
      [...list.matchAll(/`([a-z][\w/-]+)`/g)].map(([, name]) => name!),
    );
    const missing = [...new Set(names)].filter((name) => {
      const file = name.startsWith('test/') ? name : `test/coordinator/${name}`;
      return !existsSync(path.join(root, `${file}.test.ts`)) && !existsSync(path.join(root, file));
    });
    expect(names.length).toBeGreaterThan(40);
    expect(missing).toEqual([]);
  });
});
