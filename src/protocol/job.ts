import { HelioError } from '../errors.ts';
import { type Job, jobSchema } from './run-file.ts';

/** What a run shows its models one of at a time, and counts. */
export type Unit = 'tokens' | 'examples';

export const unitOf = ({ data }: Pick<Job, 'data'>): Unit => ('paths' in data ? 'tokens' : 'examples');

/** Tries: one for each depth at which a newer run file may have keys. */
const MAX_TRIES = 8;

/**
 * The run file that a coordinator sends. Keys that this version does not know are left out, and named; what it knows must be right.
 *
 * @throws HelioError HELIO-4006 where this version cannot do what the run asks for
 */
export function readJob(given: Readonly<Record<string, unknown>>): {
  readonly job: Job;
  readonly unknown: readonly string[];
} {
  const json = structuredClone(given);
  const unknown: string[] = [];
  for (let tried = 0; tried < MAX_TRIES; tried++) {
    const { data, error } = jobSchema.safeParse(json);
    if (data !== undefined) return { job: data, unknown };
    const extra = error.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? [issue] : []));
    const [issue] = error.issues;
    if (extra.length === 0)
      throw new HelioError(
        'HELIO-4006',
        `The run asks for what this version of Heliotrope does not have: ${issue!.path.join('.')}: ${issue!.message}.`,
        'Install the version that the host has.',
      );
    for (const { path, keys } of extra) {
      const at = path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)[key], json);
      for (const key of keys) {
        delete (at as Record<string, unknown>)[key];
        unknown.push([...path, key].join('.'));
      }
    }
  }
  throw new HelioError(
    'HELIO-4006',
    'The run file is of another version of Heliotrope.',
    'Install the version that the host has.',
  );
}
