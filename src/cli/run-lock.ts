import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';

const lockIn = (folder: string): string => path.join(folder, 'run.lock');

/**
 * Refuses a folder in which another process is hosting a run: two would write over each other.
 *
 * @throws HelioError HELIO-1005
 */
export function refuseIfHosted(folder: string): void {
  const pid = hostOf(folder);
  if (pid === undefined) return;
  throw new HelioError(
    'HELIO-1005',
    `The run in ${folder} is being trained right now, by process ${pid}.`,
    'Wait for it or stop it, or give this run another name.',
  );
}

/** Marks the folder as hosted by this process. @returns takes the mark away */
export function lockRun(folder: string): () => void {
  refuseIfHosted(folder);
  writeWhole(lockIn(folder), String(process.pid));
  return () => rmSync(lockIn(folder), { force: true });
}

/** The process that hosts a run there, if it is alive; a mark that a killed one left behind counts for nothing. */
function hostOf(folder: string): number | undefined {
  try {
    const pid = Number(readFileSync(lockIn(folder), 'utf8'));
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? Number(readFileSync(lockIn(folder), 'utf8')) : undefined;
  }
}
