import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import path from 'node:path';
import { explainSystemError, HelioError } from '../errors.ts';
import { makeFolder } from '../files.ts';
import { lockFolder, lockRun } from './run-lock.ts';

/** Runs live in `runs/`, one folder each; `runs/latest` points at the newest. */

export interface NewRunFolder {
  readonly folder: string;
  /** Where an earlier run of that name went. */
  readonly keptAs: string | undefined;
  /** Lets the folder go, of which this process is the host from the beginning on. */
  readonly unlock: () => void;
}

/**
 * Makes an empty folder for a run, hosted by this process. One that has the name already is kept under the next free number, `NAME-1`,
 * `NAME-2` …
 *
 * @throws HelioError HELIO-1005 when another process hosts the run of that name
 */
export function createRunFolder(runs: string, name: string): NewRunFolder {
  const folder = path.join(runs, name);
  try {
    makeFolder(runs);
    const keptAs = existsSync(folder) ? moveAside(folder) : undefined;
    mkdirSync(folder);
    const unlock = lockRun(folder);
    pointLatest(runs, name);
    return { folder, keptAs, unlock };
  } catch (error) {
    if (!/^(EEXIST|ENOENT|ENOTEMPTY)$/.test(String((error as NodeJS.ErrnoException).code)))
      throw explainSystemError(error, `make the run's folder ${folder}`);
    throw new HelioError(
      'HELIO-1005',
      `The run in ${folder} is being begun by another process at this moment.`,
      'Give this run another name.',
      { cause: error },
    );
  }
}

/** Whoever made that folder a moment ago has not locked it yet, or finds it gone: of several that begin at once one is left. */
function moveAside(folder: string): string {
  const unlock = lockFolder(folder);
  try {
    let number = 1;
    while (existsSync(`${folder}-${number}`)) number++;
    const keptAs = `${folder}-${number}`;
    renameSync(folder, keptAs);
    return keptAs;
  } finally {
    unlock();
  }
}

/** Where a run is: a folder as given, or a name under `runs`. */
export function findRun(runs: string, run: string): string {
  const candidates = [path.join(runs, run), path.resolve(run)];
  const found = candidates.find(
    (folder) => existsSync(path.join(folder, 'run.yaml')) || existsSync(path.join(folder, 'config.json')),
  );
  if (found !== undefined) return found;
  const known = listRuns(runs);
  throw new HelioError(
    'HELIO-1005',
    `There is no run ${run} (looked in ${candidates.join(' and ')}).`,
    known.length === 0 ? 'Train one first: `heliotrope train RUN.yaml`.' : `Runs here: ${known.join(', ')}.`,
  );
}

export function listRuns(runs: string): readonly string[] {
  if (!existsSync(runs)) return [];
  return readdirSync(runs, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(path.join(runs, entry.name, 'run.yaml')))
    .map((entry) => entry.name)
    .sort();
}

export function latestRun(runs: string): string | undefined {
  try {
    return readlinkSync(path.join(runs, 'latest'));
  } catch {
    return undefined;
  }
}

/** @returns the parsed file, or undefined when it is not there or not whole */
export function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

function pointLatest(runs: string, name: string): void {
  const link = path.join(runs, 'latest');
  try {
    rmSync(link, { force: true });
    symlinkSync(name, link);
  } catch {
    // A file system without symbolic links only lacks the convenience.
  }
}

/** How a run is gone on with: one whose islands are elsewhere is served again, one that was trained here is trained. */
export const resumeCommand = (folder: string): string => {
  const isTrainedHere = existsSync(path.join(folder, 'islands'));
  return `heliotrope ${isTrainedHere ? 'train' : 'serve'} --resume ${path.basename(folder)}`;
};
