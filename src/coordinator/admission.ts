import { HelioError } from '../errors.ts';
import { helloText, isSignedBy } from '../protocol/identity.ts';
import { readInvitation } from '../protocol/invitation.ts';
import type { IslandMessage } from '../protocol/messages.ts';
import { bannedFor, SENT_AWAY } from './membership.ts';
import { entryOf } from './persistent-map.ts';
import { countOf, islandOf } from './roster.ts';
import type { RunState } from './state.ts';

/** Who may come in, by what they say in their first message. */

export interface Doorkeeper {
  readonly run: string;
  /** The key that invitations are signed with. */
  readonly hostKey: string;
  /** What the island had to sign. */
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly nowS: number;
}

export type Admission =
  /** With an invitation whose uses are still to be counted, or null: the run knows it. */
  | { readonly kind: 'admitted'; readonly invitation: { readonly id: string; readonly uses: number } | null }
  /** Unknown, and without an invitation: its host may let it in. */
  | { readonly kind: 'ask-host' };

/**
 * @param state asked for anew after each wait: another may have come meanwhile
 * @throws HelioError HELIO-4003 when it is not who it says, or its invitation is worth nothing, HELIO-4005 when it was banned
 */
export async function admission(
  { run, hostKey, nonce, nowS }: Doorkeeper,
  state: () => Pick<RunState, 'islands' | 'banned' | 'revoked'>,
  hello: Pick<IslandMessage & { readonly kind: 'hello' }, 'island' | 'key' | 'signature' | 'invitation'>,
): Promise<Admission> {
  if (!(await isSignedBy(hello.key, helloText(nonce, run, hello.island), hello.signature))) {
    throw new HelioError(
      'HELIO-4003',
      `The island ${hello.island} did not show that it holds its key.`,
      'Sign the challenge of this connection.',
    );
  }
  const { islands, banned } = state();
  const offence = entryOf(banned, hello.key);
  if (offence !== undefined) {
    const { what, remedy } = bannedFor(hello.island, offence);
    throw new HelioError('HELIO-4005', what, remedy);
  }
  const named = islandOf(islands, hello.island);
  const known = named?.key === '' ? undefined : named;
  if (known !== undefined && known.key !== hello.key) {
    throw new HelioError(
      'HELIO-4003',
      `The name ${hello.island} belongs to another island of this run.`,
      'Join under another --name, or with the --state folder that this one had.',
    );
  }
  if (known?.sentAway === true) throw new HelioError('HELIO-4003', SENT_AWAY.what, SENT_AWAY.remedy);
  if (known !== undefined) return { kind: 'admitted', invitation: null };
  if (hello.invitation === null) return { kind: 'ask-host' };
  const { id, uses } = await readInvitation(hello.invitation, hostKey, run, nowS);
  const { revoked, islands: now } = state();
  if (revoked !== undefined && Object.hasOwn(revoked, id))
    throw new HelioError('HELIO-4003', 'The host has taken this invitation back.', 'Ask the host for another.');
  const used = countOf(now.byInvitation, id);
  if (used >= uses)
    throw new HelioError(
      'HELIO-4003',
      `The invitation is used up: its limit was ${used}.`,
      'Ask the host for another: `heliotrope invite`.',
    );
  return { kind: 'admitted', invitation: { id, uses } };
}
