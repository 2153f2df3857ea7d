import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { scratchFolder } from '../../src/cli/scratch-folder.ts';
import { HOST } from '../../src/processes.ts';

const MODULE = path.resolve(import.meta.dirname, '../../src/cli/scratch-folder.ts');
const newParent = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-scratch-'));

/** What a process leaves behind that makes a folder for `eval`, writes into it, and ends so. */
function leftBy(parent: string, ending: string): readonly string[] {
  const program = `
    import { writeFileSync } from 'node:fs';
    import { scratchFolder } from ${JSON.stringify(MODULE)};
    const folder = scratchFolder(${JSON.stringify(parent)}, 'eval');
    writeFileSync(folder + '/tokens.bin', 'x');
    process.once('SIGINT', () => process.exit(130));
    ${ending}
    setTimeout(() => {}, 60_000);`;
  spawnSync(process.execPath, ['--input-type=module', '--eval', program]);
  return readdirSync(parent);
}

it.each([
  ['throws', 'throw new Error();'],
  ['fails later', 'await Promise.reject(new Error());'],
  ['is told to exit', 'process.exit(3);'],
  ['is interrupted', "process.kill(process.pid, 'SIGINT');"],
])('nothing is left of a process that %s', (_, ending) => {
  expect(leftBy(newParent(), ending)).toEqual([]);
});

it('what one that was killed has left is deleted by the next, and nobody else’s', () => {
  const parent = newParent();
  const others = [
    `eval-${HOST}-${process.pid}-abc`,
    'eval-00000000-99999999-abc',
    `other-${HOST}-99999999-abc`,
    'runs',
  ];
  for (const name of others) mkdirSync(path.join(parent, name));
  expect(leftBy(parent, "process.kill(process.pid, 'SIGKILL');")).toHaveLength(others.length + 1);
  const own = path.basename(scratchFolder(parent, 'eval'));
  expect(readdirSync(parent).toSorted()).toEqual([...others, own].toSorted());
});
