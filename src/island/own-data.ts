import { HelioError } from '../errors.ts';
import type { Job } from '../protocol/run-file.ts';

/** The job with the owner's files instead of those that it names. */
export function withOwnData(job: Job, paths: readonly string[] | undefined): Job {
  if (paths === undefined) return job;
  if ('paths' in job.data) return { ...job, data: { ...job.data, paths: [...paths] } };
  if ('table' in job.data) return { ...job, data: { ...job.data, table: [...paths] } };
  const [images, labels] = paths;
  if (images !== undefined && labels !== undefined && paths.length === 2)
    return { ...job, data: { ...job.data, images, labels } };
  throw new HelioError(
    'HELIO-1006',
    `The run trains on images, and --data names ${paths.length} file${paths.length === 1 ? '' : 's'}.`,
    'Give --data twice: the images, then their labels.',
  );
}
