import path from 'node:path';
import { inviteTo, readServed } from '../addresses.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { keptIdentity } from '../identity-file.ts';
import { findRun } from '../run-folder.ts';

export interface InviteOptions {
  readonly role: 'island';
  /** Seconds. */
  readonly expires: number;
  readonly uses: number;
}

/** Makes a link that lets islands into a run, as often and as long as it says. */
export async function invite(
  run: string,
  { expires, uses, role }: InviteOptions,
  context: CommandContext,
): Promise<number> {
  const folder = findRun(context.runs, run);
  const expiresAt = Math.floor(Date.now() / 1000 + expires);
  const link = await inviteTo(readServed(folder), await keptIdentity(path.join(folder, 'run.key')), {
    uses,
    expiresAt,
  });
  if (context.json) printJson({ run, role, uses, expiresAt: new Date(1000 * expiresAt).toISOString(), link });
  else print(`heliotrope join '${link}'`);
  return 0;
}
