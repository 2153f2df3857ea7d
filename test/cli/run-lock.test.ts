import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRunFolder } from '../../src/cli/run-folder.ts';
import { lockRun, refuseIfHosted } from '../../src/cli/run-lock.ts';

/** Locks between real processes. */

const SOURCE = path.resolve(import.meta.dirname, '../../src/cli');
let folder = '';
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-lock-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A process that does this, says what came of it in one line, and stays. */
function another(program: string): { readonly child: ChildProcess; readonly said: Promise<string> } {
  const text = `
    const { lockRun } = await import(${JSON.stringify(path.join(SOURCE, 'run-lock.ts'))});
    const { createRunFolder } = await import(${JSON.stringify(path.join(SOURCE, 'run-folder.ts'))});
    const at = Number(process.argv[1]);
    while (Date.now() < at) {}
    try { ${program}; console.log('has it'); } catch (error) { console.log(error.code ?? String(error)); }
    setInterval(() => {}, 1000);
  `;
  // At the same moment, however long each of them took to begin.
  const at = Math.ceil(Date.now() / 2_000) * 2_000 + 2_000;
  const child = spawn(process.execPath, ['--input-type=module', '-e', text, String(at)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const said = new Promise<string>((resolve) =>
    child.stdout!.setEncoding('utf8').once('data', (line: string) => resolve(line.trim())),
  );
  return { child, said };
}

const killed = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });

describe('the lock of a run', () => {
  it('says who has it, and is free again once that process was killed', async () => {
    const { child, said } = another(`globalThis.unlock = lockRun(${JSON.stringify(folder)})`);
    expect(await said).toBe('has it');
    const refused = expect.objectContaining({
      code: 'HELIO-1005',
      what: expect.stringContaining(`is being trained right now, by process ${child.pid} on `),
    });
    expect(() => refuseIfHosted(folder)).toThrow(refused);
    expect(() => lockRun(folder)).toThrow(refused);
    await killed(child);
    refuseIfHosted(folder);
    const unlock = lockRun(folder);
    expect(() => refuseIfHosted(folder)).toThrow(/by process/);
    unlock();
    refuseIfHosted(folder);
    expect(existsSync(path.join(folder, 'run.lock'))).toBe(false);
  }, 60_000);

  it('is not held by a file that names a living process', () => {
    for (const content of [String(process.ppid), '1', JSON.stringify({ pid: 1, host: 'a', since: 'b' }), '']) {
      writeFileSync(path.join(folder, 'run.lock'), content);
      refuseIfHosted(folder);
      lockRun(folder)();
    }
  });

  it('is held by one of several that take it at the same moment', async () => {
    const all = Array.from({ length: 4 }, () => another(`globalThis.unlock = lockRun(${JSON.stringify(folder)})`));
    const said = await Promise.all(all.map((one) => one.said));
    expect(said.toSorted()).toEqual(['HELIO-1005', 'HELIO-1005', 'HELIO-1005', 'has it']);
  }, 60_000);

  it('is held by a coordinator of version 0.1 too, whose database is in use, and nothing of it is touched', async () => {
    const runs = path.join(folder, 'runs');
    const run = path.join(runs, 'a');
    mkdirSync(run, { recursive: true });
    writeFileSync(path.join(run, 'run.lock'), '123');
    const file = JSON.stringify(path.join(run, 'run.sqlite'));
    const { child, said } = another(`
      globalThis.held = new (await import('node:sqlite')).DatabaseSync(${file});
      held.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; CREATE TABLE t (a)')`);
    expect(await said).toBe('has it');
    for (const take of [() => refuseIfHosted(run), () => lockRun(run), () => createRunFolder(runs, 'a')])
      expect(take).toThrow(expect.objectContaining({ code: 'HELIO-1005' }));
    expect(readdirSync(runs)).toEqual(['a']);
    expect(readFileSync(path.join(run, 'run.lock'), 'utf8')).toBe('123');
    await killed(child);
    refuseIfHosted(run);
    lockRun(run)();
  }, 60_000);

  it('is not disturbed by those who look', () => {
    const unlock = lockRun(folder);
    for (let i = 0; i < 3; i++) expect(() => refuseIfHosted(folder)).toThrow(/HELIO|trained/);
    expect(() => lockRun(folder)).toThrow(/being trained/);
    unlock();
    lockRun(folder)();
  });

  it('is there from the moment in which a folder is made, and no folder is moved aside under its host', async () => {
    const runs = path.join(folder, 'runs');
    mkdirSync(path.join(runs, 'a'), { recursive: true });
    writeFileSync(path.join(runs, 'a', 'old'), '');
    const program = `globalThis.made = createRunFolder(${JSON.stringify(runs)}, 'a')`;
    const all = Array.from({ length: 4 }, () => another(program));
    const said = await Promise.all(all.map((one) => one.said));
    expect(said.filter((word) => word === 'has it')).toHaveLength(1);
    expect(() => createRunFolder(runs, 'a')).toThrow(/being trained/);
    expect(readdirSync(path.join(runs, 'a-1'))).toContain('old');
    for (const { child } of all) await killed(child);
    const { keptAs, unlock } = createRunFolder(runs, 'a');
    expect(keptAs).toMatch(/a-\d+$/);
    unlock();
  }, 60_000);
});
