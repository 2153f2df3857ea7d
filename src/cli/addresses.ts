import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';
import type { Identity } from '../protocol/identity.ts';
import { type Invitation, signInvitation, writeLink } from '../protocol/invitation.ts';
import { readJson } from './run-folder.ts';

/** The address of a served run, which `invite` reads from the run's folder. */
export interface Served {
  readonly run: string;
  readonly addresses: readonly string[];
  readonly fingerprint: string | null;
  readonly secure: boolean;
  /** Where it listens on this machine. */
  readonly listens: { readonly host: string; readonly port: number };
}

const fileIn = (folder: string): string => path.join(folder, 'served.json');

export const writeServed = (folder: string, served: Served): void =>
  writeWhole(fileIn(folder), `${JSON.stringify(served, null, 2)}\n`);

/** Nothing when the run was never served. */
export const lastServed = (folder: string): Served | undefined => readJson<Served>(fileIn(folder));

/** What a host is to know where islands do not come back by the links that they have; undefined where they do. */
export function brokenLinks(before: Served | undefined, now: Served, name: string): string | undefined {
  if (before === undefined) return undefined;
  const remedy = `links of before are worth nothing now. Send new invitations: \`heliotrope invite ${name}\`.`;
  if (before.secure !== now.secure)
    return now.secure
      ? `The coordinator is encrypted, and was not before: ${remedy}`
      : `The coordinator is not encrypted, and was before: ${remedy}`;
  if (before.fingerprint !== now.fingerprint) return `The certificate is another than before: ${remedy}`;
  return undefined;
}

/** @throws HelioError HELIO-1005 when the run was never served */
export function readServed(folder: string): Served {
  const served = lastServed(folder);
  if (served !== undefined) return served;
  throw new HelioError(
    'HELIO-1005',
    `The run in ${folder} has not been served yet, so there is no address for an invitation.`,
    'Start it first: `heliotrope serve`.',
  );
}

/** ID of an invitation, to revoke it by. */
export const newInvitationId = (): string => randomBytes(9).toString('base64url');

/** An invitation with a signature of the run's host, and where to go with it. */
export async function inviteTo(
  { run, addresses, fingerprint, secure }: Served,
  host: Identity,
  { id, uses, expiresAt }: Pick<Invitation, 'id' | 'uses' | 'expiresAt'>,
): Promise<string> {
  const invitation = await signInvitation({ run, role: 'island', id, expiresAt, uses }, host);
  return writeLink({ addresses, secure, fingerprint: fingerprint ?? undefined, invitation });
}

/** Addresses under which others reach what listens on `host`: all of this machine's where it listens on all of them. */
export function addressesOf(host: string, port: number, announced: readonly string[]): readonly string[] {
  if (announced.length > 0) return announced.map((address) => (/:\d+$/.test(address) ? address : `${address}:${port}`));
  return hostsOf(host).map((each) => `${each.includes(':') ? `[${each}]` : each}:${port}`);
}

/** The same without port. */
export function hostsOf(host: string): readonly string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && (family === 'IPv4' || host === '::'))
    // A link-local address is of no use to others.
    .filter(({ address }) => !address.startsWith('fe80:'))
    .map(({ address }) => address);
  return own.length > 0 ? own : ['localhost'];
}
