import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../files.ts';
import { HOST, isAlive } from '../processes.ts';

/**
 * Makes a folder for what a command needs while it runs. It is deleted when the process ends, whatever ends it; after one that was killed, by the next
 * that makes one for the same purpose.
 *
 * @param purpose letters and hyphens
 */
export function scratchFolder(parent: string, purpose: string): string {
  makeFolder(parent);
  const owner = new RegExp(`^${purpose}-${HOST}-(\\d+)-`);
  for (const name of readdirSync(parent)) {
    const pid = owner.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(path.join(parent, name), { recursive: true, force: true });
  }
  const folder = mkdtempSync(path.join(parent, `${purpose}-${HOST}-${process.pid}-`));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
