import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeFolder } from '../src/files.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-files-'));
const FILES = path.resolve(import.meta.dirname, '../src/files.ts');

describe('making folders', () => {
  it('makes those above, and takes one that is there', () => {
    const deep = path.join(folder, 'a/b/c');
    makeFolder(deep);
    makeFolder(deep);
    expect(existsSync(deep)).toBe(true);
  });

  it('says the system’s own error where one cannot be made', () => {
    writeFileSync(path.join(folder, 'file'), '');
    expect(() => makeFolder(path.join(folder, 'file/inside'))).toThrow(/ENOTDIR/);
  });

  it('lets several processes make the same ones at once', async () => {
    // Each waits for the same moment, then makes fifty deep folders.
    const script = `
      import { makeFolder } from ${JSON.stringify(FILES)};
      while (Date.now() < Number(process.argv[1])) {}
      for (let i = 0; i < 50; i++) makeFolder(${JSON.stringify(folder)} + '/race' + i + '/x/y/z');`;
    const moment = String(Date.now() + 1_500);
    const statuses = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise((resolve) => {
            const child = spawn(process.execPath, ['--input-type=module', '-e', script, moment], {
              stdio: ['ignore', 'ignore', 'inherit'],
            });
            child.once('exit', resolve);
          }),
      ),
    );
    expect(statuses).toEqual([0, 0, 0]);
  });
});
