import { HelioError } from '../../errors.ts';
import { type IslandMessage, MAX_HELLO_BYTES } from '../../protocol/messages.ts';
import { requireVersion } from './handshake.ts';
import type { Peer } from './peer.ts';

/**
 * What an island says, within what it may say.
 *
 * @returns undefined for a kind that is not known
 * @throws HelioError HELIO-4004 when it is malformed, HELIO-4003 when it is one too many, HELIO-4006 when no version is common
 */
export function readMessage(peer: Peer, data: Buffer, nowMs: number): IslandMessage | undefined {
  if (!peer.limit.take(nowMs))
    throw new HelioError('HELIO-4003', 'The island sends more messages than it may.', 'Send fewer.');
  const isMember = peer.name !== undefined;
  if (!isMember && data.length > MAX_HELLO_BYTES)
    throw new HelioError('HELIO-4004', `A first message of ${data.length} bytes came.`, 'Say hello, and no more.');
  const text = data.toString();
  if (peer.stage === 'stranger') requireVersion(text);
  return peer.channel.message(text);
}
