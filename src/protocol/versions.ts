import { HelioError } from '../errors.ts';

/** Versions of the protocol that this one speaks. Both sides say a range, and speak the newest that both know. */
export const PROTOCOL_VERSION = 6;
export const OLDEST_PROTOCOL = 6;

/**
 * What else this one can: each side says its own, and uses what both have. A name that is not known is no error.
 *
 * receipts: it takes what the host signs of its merged work.
 * fetch: payloads may be asked for by their hash.
 * plan: it says what energy it expects, and keeps to what the run plans of the grid's.
 */
export const CAPABILITIES = ['receipts', 'fetch', 'plan'] as const;
export type Capability = (typeof CAPABILITIES)[number];

export interface Versions {
  readonly protocol: number;
  readonly oldest: number;
}

/**
 * The version that both sides speak.
 *
 * @throws HelioError HELIO-4006 where there is none: a skew is nobody's fault, and never counted as one
 */
export function agreedVersion(own: Versions, other: Versions, who: string): number {
  const newest = Math.min(own.protocol, other.protocol);
  if (newest >= Math.max(own.oldest, other.oldest)) return newest;
  const older = other.protocol < own.oldest ? who : 'this side';
  throw new HelioError(
    'HELIO-4006',
    `The ${who} speaks protocol ${range(other)}, this side ${range(own)}.`,
    `Install a newer Heliotrope where the older is: ${older}.`,
  );
}

const range = ({ protocol, oldest }: Versions): string =>
  protocol === oldest ? `${protocol}` : `${oldest} to ${protocol}`;
