import { HelioError } from '../errors.ts';
import { helloText, isSignedBy } from '../protocol/identity.ts';
import { readInvitation } from '../protocol/invitation.ts';
import type { IslandMessage } from '../protocol/messages.ts';
import { isKnown, type Newcomer, objectionTo } from './membership.ts';
import type { RunState } from './state.ts';

/** Whether an island may join, decided from its hello. */

export interface AdmissionContext {
  readonly run: string;
  /** The key that invitations are signed with. */
  readonly hostKey: string;
  /** The challenge that the island had to sign. */
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly nowS: number;
}

export type Admission =
  /** With an invitation whose uses are still to be counted, or null: the run knows it. */
  | { readonly kind: 'admitted'; readonly invitation: Newcomer['invitation'] }
  /** Unknown, and without an invitation: its host may let it in. */
  | { readonly kind: 'ask-host' };

/**
 * @param state read again after each wait: another island may have joined in between
 * @throws HelioError HELIO-4003 when it is not who it says, or its invitation is worth nothing, HELIO-4005 when it was banned
 */
export async function admission(
  { run, hostKey, nonce, nowS }: AdmissionContext,
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
  const objecting = (invitation: Newcomer['invitation']): void => {
    const objection = objectionTo(state(), { island: hello.island, key: hello.key, invitation });
    if (objection !== null) throw new HelioError(objection.code, objection.what, objection.remedy);
  };
  objecting(null);
  if (isKnown(state(), hello.island)) return { kind: 'admitted', invitation: null };
  if (hello.invitation === null) return { kind: 'ask-host' };
  const { id, uses } = await readInvitation(hello.invitation, hostKey, run, nowS);
  objecting({ id, uses });
  return { kind: 'admitted', invitation: { id, uses } };
}
