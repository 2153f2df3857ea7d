import type { Route } from './route-search.ts';

/** Why a route failed, and what the owner can do, where that is known. */
export interface RouteError {
  readonly why: string;
  readonly remedy: string | undefined;
}

export const OTHER_CERTIFICATE: RouteError = {
  why: 'its certificate is not the one that the invitation names: somebody may be listening in between',
  remedy:
    'Ask the host whether its certificate was replaced. If so, take a new invitation link; if not, somebody is in between.',
};

/** What OpenSSL says of a certificate that no authority vouches for. */
const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

/** What stands behind an error of the socket. */
export function routeErrorOf(error: Error & { readonly code?: string }, { url }: Pick<Route, 'url'>): RouteError {
  const { code = '', message } = error;
  const isSecure = url.startsWith('wss:');
  if (UNKNOWN_AUTHORITY.has(code))
    return {
      why: 'no authority vouches for its certificate, and the link names no fingerprint of it',
      remedy: 'Copy the invitation link whole, in quotes: the fingerprint is a part of it.',
    };
  if (code === 'CERT_HAS_EXPIRED' || code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return { why: message, remedy: 'Ask the host to renew its certificate for the name in the link.' };
  if (isSecure && /wrong version number|packet length too long|unexpected message/i.test(message))
    return {
      why: 'what answers there does not encrypt',
      remedy: 'Copy the invitation link as the host printed it: it may begin with http:// and not https://.',
    };
  if (!isSecure && (code === 'ECONNRESET' || message === 'socket hang up'))
    return {
      why: 'the connection was closed without an answer',
      remedy: 'Copy the invitation link as the host printed it: it may begin with https:// and not http://.',
    };
  return { why: message === '' ? code : message, remedy: undefined };
}
