import { HelioError } from '../errors.ts';

/**
 * Why an island leaves, as the coordinator is told. Messages for the owner name files and may quote their content; the host is told the kind of
 * error, and nothing about the owner's disk.
 */
export function leaveReason(error: unknown): string {
  if (!(error instanceof HelioError)) return 'an unexpected error of its own; its log has the details';
  // What came over the connection is known to the coordinator.
  if (error.code.startsWith('HELIO-4')) return error.message.slice(0, 1_900);
  const kind = KINDS.get(error.code) ?? KINDS.get(error.code.slice(0, 7)) ?? 'it could not go on';
  return `${kind} (${error.code}); its log has the details`;
}

/** By code, or by kind of code. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['HELIO-1002', 'the sizes of the model do not fit'],
  ['HELIO-1003', 'its data cannot be used'],
  ['HELIO-1004', 'its data cannot be used'],
  ['HELIO-1006', 'its options do not fit the run'],
  ['HELIO-1007', 'its owner has not opened the files that the run names'],
  ['HELIO-2002', 'its training diverged'],
  ['HELIO-2', 'its engine could not go on'],
  ['HELIO-3', 'its disk could not be used'],
]);
