import { HelioError } from '../../errors.ts';

/**
 * Whose fault it is that something an island sent did not work. Only what no honest island of the same version does is an offence, which is counted and
 * leads to a ban.
 *
 * | what happened | code | what follows |
 * | --- | --- | --- |
 * | a message or frame that is malformed, comes unasked or out of turn, or a payload of another size or codec | HELIO-4004 | offence |
 * | the same from an island of another version of Heliotrope | HELIO-4004 | refused: versions differ |
 * | a contribution that is not signed by its island, or not finite: no version sends such | HELIO-4008 | offence |
 * | versions that have none in common | HELIO-4006 | refused |
 * | no invitation, a name or key of another island, an invalid invitation, too many messages | HELIO-4003 | refused |
 * | banned before | HELIO-4005 | refused |
 * | a contribution that is far too long, or of more tokens than its steps have | HELIO-4007 | left out; the island goes on |
 * | a contribution that the coordinator's disk has no room for, or that it cannot write | HELIO-3002 to 3004 | left out; the island goes on |
 * | the aggregation thread ended | HELIO-2001 | the run ends with that cause |
 * | an error that nobody explained: a bug of ours | none | refused, and nothing more: what one island sends must not end a run |
 * | claims that time does not allow, losses that others do not measure, no answer | none | bounded, recorded as doubted, not waited for |
 */
export type Fault = 'offence' | 'version' | 'refusal' | 'disk' | 'ours' | 'bug';

/** @param isOtherVersion whether the island is of another version of Heliotrope */
export function faultOf(error: unknown, isOtherVersion = false): Fault {
  if (!(error instanceof HelioError)) return 'bug';
  switch (error.code) {
    case 'HELIO-4004':
      return isOtherVersion ? 'version' : 'offence';
    case 'HELIO-4008':
      return 'offence';
    case 'HELIO-3002':
    case 'HELIO-3003':
    case 'HELIO-3004':
      return 'disk';
    case 'HELIO-4003':
    case 'HELIO-4005':
    case 'HELIO-4006':
    case 'HELIO-4007':
      return 'refusal';
    default:
      return 'ours';
  }
}

/** A bug of ours, which what an island sent has brought to light. */
export const unexplained = (cause: unknown): HelioError =>
  new HelioError('HELIO-4003', `The coordinator could not deal with it: ${cause}`, 'Report this with both versions.');
