import { HelioError } from '../errors.ts';
import { readJob } from '../protocol/job.ts';
import { faultOf } from '../protocol/manifest.ts';
import type { CoordinatorMessage } from '../protocol/messages.ts';
import type { Welcome } from './state.ts';

/**
 * A welcome with its run file read.
 *
 * @returns also the keys of the run file that this version does not know
 * @throws HelioError HELIO-4004 when the manifest makes no sense, HELIO-4006 when the run is of another version
 */
export function readWelcome(message: CoordinatorMessage & { readonly kind: 'welcome' }): {
  readonly welcome: Welcome;
  readonly unknown: readonly string[];
} {
  const { job, unknown } = readJob(message.job);
  const fault = faultOf(message.manifest, job.outer.fragments);
  if (fault !== undefined)
    throw new HelioError('HELIO-4004', `The run's manifest is wrong: ${fault}.`, 'Report it to the host of the run.');
  return { welcome: { ...message, job }, unknown };
}
