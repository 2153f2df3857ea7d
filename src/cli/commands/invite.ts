import path from 'node:path';
import { inviteTo, newInvitationId, readServed } from '../addresses.ts';
import { type CommandContext, print, printJson, tell } from '../context.ts';
import { askCoordinator } from '../host-client.ts';
import { keptIdentity } from '../identity-file.ts';
import { type Issued, issuedIn, noteIssued } from '../invitations-file.ts';
import { integer } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { findRun, readJson } from '../run-folder.ts';

export interface InviteOptions {
  readonly role: 'island';
  /** Seconds; a day when left out. */
  readonly expires?: number;
  readonly uses: number;
  readonly list?: boolean;
  readonly revoke?: string;
  readonly andIslands?: boolean;
}

const DAY_S = 86_400;

interface Invited {
  readonly invitation: string;
  readonly islands: number;
  readonly revoked: boolean;
}

/** Makes a link that lets islands into a run, as often and as long as it says. */
export async function invite(
  run: string,
  { expires = DAY_S, uses, role, list, revoke, andIslands }: InviteOptions,
  context: CommandContext,
): Promise<number> {
  const folder = findRun(context.runs, run);
  const issued = issuedIn(folder);
  if (list === true) {
    const came = await askCoordinator<readonly Invited[]>(folder, 'GET', '/v1/invitations');
    return show(withIssued(came, issued, Date.now() / 1000), context);
  }
  if (revoke !== undefined) {
    const at = `/v1/invitations/${encodeURIComponent(revoke)}/revoke`;
    const taken = await askCoordinator<Invited>(folder, 'POST', at, { islands: andIslands === true });
    if (taken.islands === 0 && !issued.has(revoke))
      tell(`No island joined with ${revoke}, and it was not made here. Check the ID with --list.`);
    return show([described(taken, issued.get(revoke))], context);
  }
  if (readJson<Summary>(path.join(folder, 'summary.json'))?.status === 'finished')
    tell(`${run} is finished: this link works only while the run is served again.`);
  const id = newInvitationId();
  const expiresAt = Math.floor(Date.now() / 1000 + expires);
  const link = await inviteTo(readServed(folder), await keptIdentity(path.join(folder, 'run.key')), {
    id,
    uses,
    expiresAt,
  });
  noteIssued(folder, { id, uses, expiresAt, by: 'invite' });
  if (context.json) printJson({ run, role, id, uses, expiresAt: new Date(1000 * expiresAt).toISOString(), link });
  else {
    print(`heliotrope join '${link}'`);
    tell(`to revoke it: heliotrope invite ${run} --revoke ${id}`);
  }
  return 0;
}

const WHAT: Readonly<Record<Listed['by'], string>> = {
  serve: 'the link that serve prints',
  invite: 'a link made by invite',
  other: 'a code, or made elsewhere',
};

interface Listed extends Invited {
  readonly by: Issued['by'] | 'other';
  /** Islands that it lets in, and until when; null where it was not made by this host: a code's, say. */
  readonly uses: number | null;
  readonly expiresAt: string | null;
}

const described = (invited: Invited, issued: Issued | undefined): Listed => ({
  ...invited,
  by: issued?.by ?? 'other',
  uses: issued?.uses ?? null,
  expiresAt: issued === undefined ? null : new Date(1000 * issued.expiresAt).toISOString(),
});

/** Those that islands came with or that were taken back, and those that are still good. */
function withIssued(came: readonly Invited[], issued: ReadonlyMap<string, Issued>, nowS: number): readonly Listed[] {
  const known = new Set(came.map(({ invitation }) => invitation));
  const unused = [...issued.values()]
    .filter(({ id, expiresAt }) => !known.has(id) && expiresAt > nowS)
    .map(({ id }) => ({ invitation: id, islands: 0, revoked: false }));
  return [...came, ...unused].map((each) => described(each, issued.get(each.invitation)));
}

function show(invitations: readonly Listed[], context: CommandContext): number {
  if (context.json) printJson(invitations);
  else if (invitations.length === 0) print('There is no invitation to this run.');
  else {
    print(`${'ID'.padEnd(14)} ${'islands'.padEnd(16)} ${'valid until, UTC'.padEnd(18)} what`);
    for (const { invitation, islands, revoked, uses, expiresAt, by } of invitations) {
      const came = `${integer(islands)}${uses === null ? '' : ` of ${integer(uses)}`}`;
      const until = revoked ? 'revoked' : (expiresAt?.slice(0, 16).replace('T', ' ') ?? '–');
      print(`${invitation.padEnd(14)} ${came.padEnd(16)} ${until.padEnd(18)} ${WHAT[by]}`);
    }
  }
  return 0;
}
