import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/**
 * Which requests a browser may have been tricked into. A page of another origin can open a WebSocket to any address that its visitor reaches, and a name that it owns can be made
 * to point there (DNS rebinding): so an `Origin` has to be our own or an allowed one, and `Host` a name that we are known by.
 */
export interface KnownNames {
  /** Names that this coordinator is reached by, beside its addresses and localhost. */
  readonly hosts: readonly string[];
  /** Origins of pages that may talk to it, beside its own. */
  readonly origins: readonly string[];
}

export type Refusal = 'host' | 'origin';

/** @returns why a request is refused; undefined where it is not */
export function refusalOf({ host, origin }: IncomingHttpHeaders, known: KnownNames): Refusal | undefined {
  const name = nameIn(host);
  if (name === undefined || !isKnown(name, known.hosts)) return 'host';
  if (origin === undefined || known.origins.includes(origin)) return undefined;
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase() ? undefined : 'origin';
}

/** The name in HOST:PORT, without brackets. */
function nameIn(host: string | undefined): string | undefined {
  const [, bracketed, plain] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::\d{1,5})?$/.exec(host ?? '') ?? [];
  return (bracketed ?? plain)?.toLowerCase();
}

const isKnown = (name: string, hosts: readonly string[]): boolean =>
  isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost') || hosts.includes(name);
