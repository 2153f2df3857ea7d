import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { sharedJob } from '../../src/cli/shared-job.ts';
import { namedData } from '../../src/island/own-data.ts';

const told = (data: unknown, more: object = {}) =>
  sharedJob(
    resolveJob(
      parseRunFile(JSON.stringify({ data: Array.isArray(data) ? { paths: data } : data, ...more }), 'r.yaml'),
      'r',
    ),
    '/home/host/runs',
  );
const summary = (data: unknown): readonly [string, readonly string[]] => {
  const { job, dataRoot } = told(data);
  return [dataRoot, namedData(job)];
};

describe('what islands are told of where a host keeps its data', () => {
  it.each<[string, unknown, string, readonly string[]]>([
    ['a file', 'a.txt', '/home/host/runs', ['a.txt']],
    ['an absolute file', '/mnt/disk/texts/a.txt', '/mnt/disk/texts', ['a.txt']],
    ['a folder', '../texts', '/home/host', ['texts']],
    ['the root', '/', '/', ['.']],
    ['a glob', '../texts/**/*.txt', '/home/host/texts', ['**/*.txt']],
    ['a glob in a folder’s name', '../texts-*/a.txt', '/home/host', ['texts-*/a.txt']],
    ['files of several folders', ['/mnt/a/x.txt', '/mnt/b/c/*.md'], '/mnt', ['a/x.txt', 'b/c/*.md']],
    ['names that begin alike', ['/mnt/ab/x.txt', '/mnt/a/x.txt'], '/mnt', ['ab/x.txt', 'a/x.txt']],
    ['a table', { table: ['../t/a.csv'], target: 'y' }, '/home/host/t', ['a.csv']],
    ['images', { images: '/m/train/i.gz', labels: '/m/train/l.gz' }, '/m/train', ['i.gz', 'l.gz']],
  ])('%s: the way from the folder that holds them all', (_, data, root, names) => {
    expect(summary(data)).toEqual([root, names]);
    for (const name of names) expect(path.isAbsolute(name) || name.startsWith('..')).toBe(false);
  });

  it('of a base and a tokenizer, their names alone', () => {
    const { job } = told('a.txt', {
      tokenizer: { path: '/home/host/tokens/tokenizer.json' },
      model: { architecture: 'gpt2', base: '../../models/gpt2' },
    });
    expect([job.tokenizer, job.model.base]).toEqual([{ path: 'tokenizer.json' }, 'gpt2']);
    expect(JSON.stringify(job)).not.toContain('host/');
  });
});
