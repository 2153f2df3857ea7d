import { HelioError } from '../errors.ts';
import { helloText } from '../protocol/identity.ts';
import { runInvitedTo } from '../protocol/invitation.ts';
import type { IslandMessage } from '../protocol/messages.ts';
import { CAPABILITIES, OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../protocol/versions.ts';
import type { IslandHost } from './host.ts';
import { readsHeldOut } from './own-data.ts';

/**
 * An island's hello: its identity, with the challenge signed for this run only.
 *
 * @throws HelioError HELIO-4003 when the invitation is for another run than is hosted there: a host must not get a signature that is good with another one
 */
export async function helloOf(
  host: IslandHost,
  nonce: string,
  run: string,
): Promise<IslandMessage & { readonly kind: 'hello' }> {
  const { name, identity, invitation, software, threads, engine, kind } = host;
  const invited = invitation === null ? undefined : runInvitedTo(invitation);
  if (invited !== undefined && invited !== run)
    throw new HelioError(
      'HELIO-4003',
      `The run ${run} is hosted there, and the invitation is for ${invited}.`,
      'Ask the host for an invitation to this run.',
    );
  return {
    kind: 'hello',
    protocol: PROTOCOL_VERSION,
    oldest: OLDEST_PROTOCOL,
    capabilities: [...CAPABILITIES],
    island: name,
    key: identity.publicKey,
    signature: await identity.sign(helloText(nonce, run, name)),
    invitation,
    software,
    threads,
    host: kind,
    evaluates: host.evaluates && readsHeldOut(host.data),
    engine: { ...engine, onProcessor: [...engine.onProcessor] },
  };
}
