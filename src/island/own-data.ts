import { HelioError } from '../errors.ts';
import type { Job } from '../protocol/run-file.ts';

/**
 * What an island's owner lets it read: files of his own to train on, or the run's where they lie inside folders that he named. With files of his own
 * and folders, it trains on the first and validates on the run's held-out data in the second.
 */
export type DataAccess =
  | { readonly kind: 'own'; readonly paths: readonly string[]; readonly folders: readonly string[] }
  | { readonly kind: 'inside'; readonly folders: readonly string[] };

/** Without options of the owner, a run may read nothing. */
export const NOTHING: DataAccess = { kind: 'inside', folders: [] };

/**
 * Whether an island can measure the model on the run's held-out data. One with data of its own alone is not asked: what it measured would be
 * another text than the others', and no sum with theirs.
 */
export const readsHeldOut = (access: DataAccess): boolean => access.kind === 'inside' || access.folders.length > 0;

/** The files, folders and globs that a job names; of images the images, then their labels. */
export function namedData({ data }: Job): readonly string[] {
  if ('paths' in data) return data.paths;
  return 'table' in data ? data.table : [data.images, data.labels];
}

/** The job with other files, in the order of {@link namedData}. */
export function withData(job: Job, files: readonly string[]): Job {
  if ('paths' in job.data) return { ...job, data: { ...job.data, paths: [...files] } };
  if ('table' in job.data) return { ...job, data: { ...job.data, table: [...files] } };
  const [images, labels] = files;
  return { ...job, data: { ...job.data, images: images!, labels: labels! } };
}

/** The job with the owner's files instead of those that it names, where he gave some. */
export function withOwnData(job: Job, access: DataAccess): Job {
  if (access.kind !== 'own') return job;
  const { paths } = access;
  if ('images' in job.data && paths.length !== 2) {
    throw new HelioError(
      'HELIO-1006',
      `The run trains on images, and --data names ${paths.length} file${paths.length === 1 ? '' : 's'}.`,
      'Give --data twice: the images, then their labels.',
    );
  }
  return withData(job, paths);
}
