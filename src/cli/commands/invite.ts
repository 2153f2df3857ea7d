import path from 'node:path';
import { inviteTo, newInvitationId, readServed } from '../addresses.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { askCoordinator } from '../host-client.ts';
import { keptIdentity } from '../identity-file.ts';
import { findRun } from '../run-folder.ts';

export interface InviteOptions {
  readonly role: 'island';
  /** Seconds. */
  readonly expires: number;
  readonly uses: number;
  readonly list?: boolean;
  readonly revoke?: string;
  readonly andIslands?: boolean;
}

interface Invited {
  readonly invitation: string;
  readonly islands: number;
  readonly revoked: boolean;
}

/** Makes a link that lets islands into a run, as often and as long as it says. */
export async function invite(
  run: string,
  { expires, uses, role, list, revoke, andIslands }: InviteOptions,
  context: CommandContext,
): Promise<number> {
  const folder = findRun(context.runs, run);
  if (list === true) return show(await askCoordinator<readonly Invited[]>(folder, 'GET', '/v1/invitations'), context);
  if (revoke !== undefined) {
    const at = `/v1/invitations/${encodeURIComponent(revoke)}/revoke`;
    const taken = await askCoordinator<Invited>(folder, 'POST', at, { islands: andIslands === true });
    if (taken.islands === 0)
      process.stderr.write(`No island came with ${revoke} so far. Was one to have? Compare --list.\n`);
    return show([taken], context);
  }
  const id = newInvitationId();
  const expiresAt = Math.floor(Date.now() / 1000 + expires);
  const link = await inviteTo(readServed(folder), await keptIdentity(path.join(folder, 'run.key')), {
    id,
    uses,
    expiresAt,
  });
  if (context.json) printJson({ run, role, id, uses, expiresAt: new Date(1000 * expiresAt).toISOString(), link });
  else {
    print(`heliotrope join '${link}'`);
    process.stderr.write(`take it back: heliotrope invite ${run} --revoke ${id}\n`);
  }
  return 0;
}

function show(invitations: readonly Invited[], context: CommandContext): number {
  if (context.json) printJson(invitations);
  else if (invitations.length === 0) print('Nobody has come with an invitation yet.');
  else
    for (const { invitation, islands, revoked } of invitations)
      print(`${invitation.padEnd(14)} ${islands} island${islands === 1 ? '' : 's'}${revoked ? ' · taken back' : ''}`);
  return 0;
}
