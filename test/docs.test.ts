import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => path.basename(file) === 'README.md')
    .map((file) => path.join('src', file)),
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

  /** Pages that a benchmark writes. */
  const WRITTEN = ['docs/results/quality.md', 'docs/results/scale.md'];
  const MOST_LETTERS = 110;
  const MOST_COLUMNS = 5;

  it.each(pages.filter((page) => !WRITTEN.includes(page)))('%s has short lines and narrow tables', (page) => {
    const text = readFileSync(path.join(root, page), 'utf8').replace(/^ *```.*?^ *```$/gms, '');
    const lines = text.split('\n');
    const rows = lines.filter((line) => /^ *\|/.test(line));
    const prose = lines.filter((line) => !/^ *(\||!\[)/.test(line));
    expect(prose.filter((line) => [...line].length > MOST_LETTERS)).toEqual([]);
    expect(rows.filter((row) => row.replace(/\\\|/g, '').split('|').length - 2 > MOST_COLUMNS)).toEqual([]);
  });

  /** Panels and batteries were made by somebody, and what a home takes its neighbour does not get. */
  it('nobody is told that energy or a run is free of carbon', () => {
    const folders = ['src', 'docs', 'examples', 'schema', 'data/meters'];
    const files = folders.flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(ts|md|ya?ml|json)$/.test(file))
        .map((file) => path.join(folder, file)),
    );
    const WORDS =
      /(zero|no|net|free of)[- ]+(carbon|emissions?|co2e?)\b|(carbon|emissions?|climate|co2e?)[- ]+(free|neutral)|\b0 ?g ?co2e?\b/i;
    const told = [...files, 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'].flatMap((file) =>
      readFileSync(path.join(root, file), 'utf8')
        .split('\n')
        .filter((line) => WORDS.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(files.length).toBeGreaterThan(100);
    expect(told).toEqual([]);
  });

  it('meters.md names each template that is shipped', () => {
    const text = readFileSync(path.join(root, 'docs/meters.md'), 'utf8');
    const names = readdirSync(path.join(root, 'data/meters'))
      .filter((file) => file.endsWith('.yaml'))
      .map((file) => file.replace('.yaml', ''));
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
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
