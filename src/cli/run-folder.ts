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
import { refuseIfHosted } from './run-lock.ts';

/** Runs live in `runs/`, one folder each; `runs/latest` points at the newest. */

/**
 * Makes an empty folder for a run. One that has the name already is kept under the next free number, `NAME-1`,
 * `NAME-2` …
 *
 * @returns the folder, and where the earlier run went
 */
export function createRunFolder(
  runs: string,
  name: string,
): { readonly folder: string; readonly keptAs: string | undefined } {
  const folder = path.join(runs, name);
  let keptAs: string | undefined;
  refuseIfHosted(folder);
  try {
    makeFolder(runs);
    if (existsSync(folder)) {
      let number = 1;
      while (existsSync(`${folder}-${number}`)) number++;
      keptAs = `${folder}-${number}`;
      renameSync(folder, keptAs);
    }
    mkdirSync(folder);
  } catch (error) {
    throw explainSystemError(error, `make the run's folder ${folder}`);
  }
  pointLatest(runs, name);
  return { folder, keptAs };
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
