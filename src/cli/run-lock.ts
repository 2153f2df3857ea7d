import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { explainSystemError, HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';

/**
 * A run's folder has one host. The lock is one of the operating system on `run.lock.sqlite`, taken by SQLite, which knows how to on every
 * system: it ends with the process that has it, also when that is killed or the machine loses its power, and a process id that another
 * process has by now means nothing. The file stays where it is, as removing it would let two have a lock of that name. `run.lock` beside
 * it only says to a reader who the host is. A coordinator of version 0.1 knows nothing of that lock: its database of the run is held.
 */
const lockIn = (folder: string): string => path.join(folder, 'run.lock.sqlite');
const databaseIn = (folder: string): string => path.join(folder, 'run.sqlite');
const signIn = (folder: string): string => path.join(folder, 'run.lock');

/** How long a look at the lock may keep it from whoever takes it. */
const LOOK_MS = 1_000;

/** Who hosts a run, for messages. */
interface Sign {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/**
 * Refuses a folder in which another process is hosting a run: two would write over each other.
 *
 * @throws HelioError HELIO-1005
 */
export function refuseIfHosted(folder: string): void {
  refuseIfLocked(lockIn(folder), folder);
  refuseIfLocked(databaseIn(folder), folder);
}

/** Whether some process hosts it now. */
export function isHosted(folder: string): boolean {
  try {
    refuseIfHosted(folder);
    return false;
  } catch {
    return true;
  }
}

/** A look changes nothing, and only a lock is a reason here. */
function refuseIfLocked(file: string, folder: string): void {
  if (!existsSync(file)) return;
  let look: DatabaseSync | undefined;
  try {
    look = new DatabaseSync(file, { readOnly: true });
    look.prepare('SELECT COUNT(*) FROM sqlite_master').get();
  } catch (error) {
    if (file === lockIn(folder) || isLocked(error)) throw explainLock(error, folder);
  } finally {
    look?.close();
  }
}

/**
 * Makes this process the host of a folder.
 *
 * @returns lets it go
 * @throws HelioError HELIO-1005 when another process hosts it
 */
export function lockRun(folder: string): () => void {
  const unlock = lockFolder(folder);
  const sign: Sign = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  writeWhole(signIn(folder), JSON.stringify(sign));
  return () => {
    rmSync(signIn(folder), { force: true });
    unlock();
  };
}

/** The same for the moment in which a folder is moved: nobody is told. */
export function lockFolder(folder: string): () => void {
  let lock: DatabaseSync | undefined;
  try {
    const { ino } = statSync(folder);
    lock = new DatabaseSync(lockIn(folder));
    // Not SQLite's exclusive mode: in it several that wait keep what they have of the lock, and none of them gets it.
    lock.exec(`PRAGMA busy_timeout = ${LOOK_MS}; BEGIN EXCLUSIVE`);
    // One who waited for the lock of a folder that was moved aside meanwhile has the lock of that one.
    if (statSync(folder).ino !== ino) throw new Error('database is locked: the folder is another now');
    refuseIfLocked(databaseIn(folder), folder);
  } catch (error) {
    lock?.close();
    throw explainLock(error, folder);
  }
  const held = lock;
  return () => {
    if (held.isOpen) held.close();
  };
}

const isLocked = (error: unknown): boolean => /database is locked/.test(String(error));

function explainLock(error: unknown, folder: string): HelioError {
  if (error instanceof HelioError) return error;
  if (!isLocked(error)) return explainSystemError(error, `lock the run in ${folder}`);
  return new HelioError(
    'HELIO-1005',
    `The run in ${folder} is being trained right now, by ${hostOf(folder)}.`,
    'Wait for it or stop it, or give this run another name.',
    { cause: error },
  );
}

function hostOf(folder: string): string {
  try {
    const { pid, host, since } = JSON.parse(readFileSync(signIn(folder), 'utf8')) as Sign;
    return `process ${pid} on ${host} since ${since}`;
  } catch {
    // It has not written who it is yet.
    return 'another process';
  }
}
