import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { islandFiles } from '../../src/island/node/data-files.ts';
import { type DataAccess, NOTHING } from '../../src/island/own-data.ts';
import type { Job } from '../../src/protocol/run-file.ts';

/** A run file comes from a host that nobody has to trust: it names what it likes, and an island reads what its owner opened to it. */

const home = realpathSync(mkdtempSync(path.join(tmpdir(), 'heliotrope-data-')));
afterAll(() => rmSync(home, { recursive: true }));
const at = (...way: readonly string[]): string => path.join(home, ...way);
const put = (...way: readonly string[]): string => {
  mkdirSync(path.dirname(at(...way)), { recursive: true });
  writeFileSync(at(...way), 'text');
  return at(...way);
};
const secret = put('secret', 'diary.txt');
put('open', 'a.txt');
put('open', 'more', 'b.txt');
put('open', 'more', 'c.md');
put('open', 'more', 'd.csv');
put('open', '[x]', 'e.txt');
put('second', 'f.txt');
symlinkSync(secret, at('open', 'link.txt'));
symlinkSync(at('secret'), at('open', 'way'));
mkdirSync(at('open', 'mixed'));
symlinkSync(secret, at('open', 'mixed', 'g.txt'));
symlinkSync(at('second', 'f.txt'), at('open', 'to-second.txt'));

const jobOf = (data: unknown, more: object = {}): Job =>
  resolveJob(
    parseRunFile(JSON.stringify({ data: Array.isArray(data) ? { paths: data } : data, ...more }), 'hostile.yaml'),
    'hostile',
  );
const inside: DataAccess = { kind: 'inside', folders: [at('open'), at('second')] };
const read = (data: unknown, access: DataAccess = inside): readonly string[] =>
  islandFiles(jobOf(data), access).training.map((file) => path.relative(home, file));

describe('what an island reads of what a run names', () => {
  it.each<[string, unknown, readonly string[]]>([
    ['a file by its place in the folder', 'a.txt', ['open/a.txt']],
    ['a folder, with what is in it', 'more', ['open/more/b.txt', 'open/more/c.md']],
    ['a glob', '**/*.{md,csv}', ['open/more/c.md', 'open/more/d.csv']],
    ['a file of the second folder', ['a.txt', 'f.txt'], ['open/a.txt', 'second/f.txt']],
    ['an absolute path inside', at('open/a.txt'), ['open/a.txt']],
    ['a path that goes out and comes back', '../open/a.txt', ['open/a.txt']],
    ['a link from one of its folders into another', 'to-second.txt', ['second/f.txt']],
    ['a table', { table: 'more/d.csv', target: 'y' }, ['open/more/d.csv']],
    ['images, before their labels', { images: 'a.txt', labels: 'f.txt' }, ['open/a.txt', 'second/f.txt']],
  ])('reads inside the named folders: %s', (_, data, files) => {
    expect(read(data)).toEqual(files);
  });

  it.each<[string, unknown]>([
    ['an absolute path', secret],
    ['a path that climbs', '../secret/diary.txt'],
    ['a symbolic link to a file outside', 'link.txt'],
    ['a folder behind a symbolic link', 'way'],
    ['a file behind it', 'way/diary.txt'],
    ['a glob behind it', 'way/*.txt'],
    ['a glob that finds a link to the outside', 'mixed/*'],
    ['a folder that holds one', 'mixed'],
    ['a glob that climbs', '*/../../secret/*.txt'],
    ['a glob whose alternatives climb', '{..,more}/secret/*.txt'],
    ['a glob with extended patterns', '@(..)/secret/*.txt'],
    ['a glob over everything', '/**/*.txt'],
    ['a sibling whose name begins alike', `${at('open')}-not/x.txt`],
    ['one good file and one that is not', ['a.txt', secret]],
    ['what is not there', 'missing.txt'],
    ['a glob that finds nothing', '*.none'],
    ['a name with a zero', 'a\0.txt'],
    ['a glob that takes for ever', '*a*b*c*d*e*f*g*h*i*.txt'],
    ['a glob of many alternatives', '{a,b}{a,b}{a,b}.txt'],
    ['a table outside', { table: at('secret', 'x.csv'), target: 'y' }],
    ['a table by a glob, as tables have none', { table: '*.csv', target: 'y' }],
    ['images outside', { images: secret, labels: 'a.txt' }],
    ['labels outside', { images: 'a.txt', labels: 'link.txt' }],
  ])('reads nothing else, whether it is there or not: %s', (_, data) => {
    let error: unknown;
    try {
      read(data);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'HELIO-1007', remedy: expect.stringContaining('--data ./my-texts') });
    expect((error as Error).message).toMatch(/which is nothing inside .*open, .*second/);
  });

  it('reads nothing at all where the owner named nothing, and says so without looking', () => {
    const fifo = at('fifo.txt');
    // Whoever opens it waits for ever.
    execFileSync('mkfifo', [fifo]);
    for (const data of [fifo, secret, 'a.txt', { table: fifo, target: 'y' }, { images: fifo, labels: fifo }])
      expect(() => read(data, NOTHING)).toThrow(/asks for .* reads no file that a host names.*--data-root/);
  });

  it("takes the owner's own files whole, wherever they are, and nothing of the run's", () => {
    const access: DataAccess = { kind: 'own', paths: [secret, at('open', 'to-second.txt')], folders: [] };
    const own = [secret, at('open/to-second.txt')];
    expect(islandFiles(jobOf('a.txt'), access)).toEqual({ training: own, own: true, run: null });
    const one: DataAccess = { kind: 'own', paths: [secret], folders: [] };
    expect(() => islandFiles(jobOf({ images: 'i', labels: 'l' }), one)).toThrow(/Give --data twice/);
  });

  it("validates on the run's beside its own where the owner opened a folder to the run", () => {
    const access: DataAccess = { kind: 'own', paths: [secret], folders: [at('open')] };
    expect(islandFiles(jobOf('a.txt'), access)).toEqual({ training: [secret], own: true, run: [at('open/a.txt')] });
    expect(() => islandFiles(jobOf('b.txt'), access)).toThrow(/which is nothing inside .*open/);
  });

  it('needs neither the tokenizer nor the base that a run names: both come over the line', () => {
    const job = jobOf('a.txt', { tokenizer: { path: secret }, model: { architecture: 'gpt2', base: at('secret') } });
    expect(islandFiles(job, inside).training).toEqual([at('open/a.txt')]);
  });

  it('takes nothing in a folder’s own name for a pattern', () => {
    expect(read('e.txt', { kind: 'inside', folders: [at('open', '[x]')] })).toEqual(['open/[x]/e.txt']);
    expect(read('*.txt', { kind: 'inside', folders: [at('open', '[x]')] })).toEqual(['open/[x]/e.txt']);
  });

  it('shows few of a host’s paths, and none that moves a cursor', () => {
    const many = Array.from({ length: 9 }, (_, i) => `\u001b[2J${i}${'x'.repeat(400)}`);
    const error = (() => {
      try {
        return read(many, NOTHING);
      } catch (thrown) {
        return (thrown as Error).message;
      }
    })();
    expect(error).toMatch(/and 4 more/);
    expect(error).not.toContain('\u001b');
    expect(error!.length).toBeLessThan(1_500);
  });

  it('says that a folder is not there', () => {
    expect(() => read('a.txt', { kind: 'inside', folders: [at('gone')] })).toThrow(/--data-root .*gone is not there/);
  });
});
