import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readHomes } from '../../src/cli/homes.ts';
import { readRunFile } from '../../src/cli/run-file.ts';
import { readSiteFile } from '../../src/cli/site-file.ts';
import { readSource } from '../../src/cli/source-file.ts';

const KIND = { code: 'HELIO-1011', what: 'site file', where: 'Write one.' } as const;

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-source-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('reads a file as text', () => {
  const file = path.join(folder, 'site.yaml');
  writeFileSync(file, 'name: café\n');
  expect(readSource(file, KIND)).toBe('name: café\n');
});

it('of a file that is not there says where one is found; of a folder, to name a file', () => {
  expect(() => readSource('nowhere.yaml', KIND)).toThrow(
    expect.objectContaining({
      code: 'HELIO-1011',
      message: 'The site file nowhere.yaml cannot be read (ENOENT). Write one.',
    }),
  );
  expect(() => readSource(folder, KIND)).toThrow(/\(EISDIR\)\. Name a file in it\./);
});

it.each([
  ['a run file', readRunFile, 'HELIO-1001', /The run file nowhere\.yaml .*heliotrope train --help/],
  ['a site file', readSiteFile, 'HELIO-1011', /The site file nowhere\.yaml .*heliotrope provide/],
  ['a homes file', readHomes, 'HELIO-1011', /The homes file nowhere\.yaml .*examples\/homes\.yaml/],
])('%s that is not there says so with its code', (_, read: (file: string) => unknown, code, message) => {
  expect(() => read('nowhere.yaml')).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});
