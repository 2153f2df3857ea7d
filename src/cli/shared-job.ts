import path from 'node:path';
import { namedData, withData } from '../island/own-data.ts';
import { GLOB } from '../ml/data/corpus-files.ts';
import type { Job } from '../protocol/run-file.ts';

/** The job as islands are told it, and the folder of this machine in which its paths are. */
export interface SharedJob {
  readonly job: Job;
  readonly dataRoot: string;
}

/**
 * Takes out of a job where the host keeps things: data are named from the deepest folder that holds all of them, and that folder is told to
 * nobody; of a base and a tokenizer, which islands do not read, the names alone are left.
 *
 * @param folder where the job's relative paths start
 */
export function sharedJob(job: Job, folder: string): SharedJob {
  const places = namedData(job).map((named) => path.resolve(folder, named));
  const dataRoot = places.map(folderOf).reduce(commonFolder);
  const told = places.map((place) => toldFrom(dataRoot, place));
  const { model, tokenizer } = job;
  const { prompt: _, ...sample } = job.sample;
  return {
    dataRoot,
    job: {
      ...withData(job, told),
      model: model.base === undefined ? model : { ...model, base: path.basename(model.base) || 'base' },
      // It may be words of the host's own text.
      sample,
      tokenizer: 'path' in tokenizer ? { path: path.basename(tokenizer.path) || 'tokenizer.json' } : tokenizer,
    },
  };
}

/** The folder that a file or folder is in, or that a glob searches. */
function folderOf(place: string): string {
  let at = path.dirname(place);
  while (GLOB.test(at)) at = path.dirname(at);
  return at;
}

/** On Windows there may be none, as places are on several drives: then it is the first one's. */
function commonFolder(one: string, other: string): string {
  let at = one;
  while (path.relative(at, other).startsWith('..') && path.dirname(at) !== at) at = path.dirname(at);
  return at;
}

/** With slashes, as a run file has them. */
function toldFrom(root: string, place: string): string {
  const way = path.relative(root, place);
  return path.isAbsolute(way) ? path.basename(place) : way.split(path.sep).join('/') || '.';
}
