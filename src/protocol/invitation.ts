import { z } from 'zod';
import { HelioError } from '../errors.ts';
import { base64url, fromBase64, type Identity, isSignedBy } from './identity.ts';

/** An invitation to a run, signed by its host: for which role, until when, and how often. */
export const invitationSchema = z.object({
  run: z.string().regex(/^[A-Za-z0-9._-]{1,80}$/),
  role: z.literal('island'),
  /** Tells invitations of a run apart. */
  id: z.string().regex(/^[A-Za-z0-9_-]{1,32}$/),
  /** Seconds since 1970. */
  expiresAt: z.int().min(0),
  /** Islands that may join with it; coming back is free. */
  uses: z.int().min(1).max(1_000_000),
});
export type Invitation = z.output<typeof invitationSchema>;

/** Longest text of an invitation. */
export const MAX_INVITATION_CHARS = 1_024;

/** BASE64URL(JSON).SIGNATURE */
export async function signInvitation(invitation: Invitation, host: Identity): Promise<string> {
  const body = base64url(new TextEncoder().encode(JSON.stringify(invitation)));
  return `${body}.${await host.sign(signedText(body))}`;
}

/**
 * Reads an invitation, and checks that this run's host has signed it and that its time has not run out.
 *
 * @param nowS seconds since 1970
 * @throws HelioError HELIO-4003 saying what is wrong with it
 */
export async function readInvitation(text: string, hostKey: string, run: string, nowS: number): Promise<Invitation> {
  const [body, signature, ...rest] = text.split('.');
  if (body === undefined || signature === undefined || rest.length > 0 || text.length > MAX_INVITATION_CHARS)
    throw refused('The invitation is not whole.', 'Copy it whole from what the host sent.');
  if (!(await isSignedBy(hostKey, signedText(body), signature)))
    throw refused("The invitation was not signed by this run's host.", 'Ask the host for one of this run.');
  const invitation = parse(body);
  if (invitation === undefined) throw refused('The invitation cannot be read.', 'Ask the host for another.');
  if (invitation.run !== run)
    throw refused(
      `The invitation is for the run ${invitation.run}, and this is ${run}.`,
      'Ask the host for one of this run.',
    );
  if (invitation.expiresAt <= nowS) {
    const when = new Date(1000 * invitation.expiresAt).toISOString();
    throw refused(`The invitation expired at ${when}.`, 'Ask the host for another: `heliotrope invite`.');
  }
  return invitation;
}

/** The run that an invitation says it is for, whoever has signed it; undefined where it cannot be read. */
export const runInvitedTo = (text: string): string | undefined => parse(text.split('.')[0] ?? '')?.run;

const signedText = (body: string): string => `heliotrope invitation\n${body}`;

function parse(body: string): Invitation | undefined {
  try {
    return invitationSchema.safeParse(JSON.parse(new TextDecoder().decode(fromBase64(body)))).data;
  } catch {
    return undefined;
  }
}

const refused = (what: string, remedy: string): HelioError => new HelioError('HELIO-4003', what, remedy);

/** Where a run is, and how to get in: what people pass on. */
export interface InvitationLink {
  /** HOST:PORT, the first one first; the others are other ways to the same coordinator. */
  readonly addresses: readonly string[];
  readonly secure: boolean;
  /** SHA-256 of the coordinator's certificate in hex, where no authority vouches for it. */
  readonly fingerprint: string | undefined;
  /** Null: the host will be asked. */
  readonly invitation: string | null;
}

const PATH = '/join';
/** In place of an invitation, where the host will be asked. */
const NONE = 'none';
/** What is said, and an Ed25519 signature of 64 bytes. */
const WHOLE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/;

/**
 * An address that a browser opens as well; what is secret stands behind the #, which is never sent to anyone. The invitation comes last, as
 * it shows whether it is whole: a link that was cut short is refused before anybody is asked.
 */
export function writeLink({ addresses, secure, fingerprint, invitation }: InvitationLink): string {
  const secrets = new URLSearchParams();
  for (const address of addresses.slice(1)) secrets.append('at', address);
  if (fingerprint !== undefined) secrets.set('fingerprint', fingerprint);
  if (invitation !== null || secrets.size > 0) secrets.set('invitation', invitation ?? NONE);
  const behind = secrets.size === 0 ? '' : `#${secrets}`;
  return `${secure ? 'https' : 'http'}://${addresses[0]}${PATH}${behind}`;
}

/** @throws HelioError HELIO-1006 when the text is no invitation link */
export function readLink(text: string): InvitationLink {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const secrets = new URLSearchParams(url?.hash.slice(1) ?? '');
  const said = secrets.get('invitation');
  const invitation = said === NONE ? null : said;
  const fingerprint = secrets.get('fingerprint') ?? undefined;
  const isLink = url?.pathname === PATH && (url.protocol === 'http:' || url.protocol === 'https:');
  const isWhole =
    (secrets.size === 0 || secrets.has('invitation')) &&
    (fingerprint === undefined || /^[0-9a-f]{64}$/.test(fingerprint)) &&
    (invitation === null || WHOLE.test(invitation));
  if (!isLink || !isWhole) {
    // A link that is whole, or nearly, lets people in: it is for no log.
    const shown = text.replace(/#.*/s, '#…').slice(0, 200);
    throw new HelioError(
      'HELIO-1006',
      isLink ? `The invitation to ${shown} is not whole.` : `${shown} is no invitation to a run.`,
      'Copy it whole, in quotes, from what `heliotrope serve` or `heliotrope invite` printed: https://HOST:PORT/join#fingerprint=…&invitation=…',
    );
  }
  // A URL leaves its usual port out.
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  const addresses = [`${url.hostname}:${port}`, ...secrets.getAll('at')];
  return { addresses, secure: url.protocol === 'https:', fingerprint, invitation };
}
