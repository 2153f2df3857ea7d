import { createHash } from 'node:crypto';

/**
 * The answer to a digest challenge (RFC 7616 §3.4, `qop=auth`), as Shelly devices ask for: the password itself is never sent.
 *
 * @param challenge header `WWW-Authenticate`
 * @param nonceOfClient any text that was not used before
 * @returns header `Authorization`; undefined when the challenge is of another kind
 */
export function digestAnswer(
  challenge: string,
  credentials: { readonly user: string; readonly password: string },
  method: string,
  path: string,
  nonceOfClient: string,
): string | undefined {
  if (!/^digest /i.test(challenge)) return undefined;
  const field = (name: string): string | undefined => {
    const [, quoted, bare] = new RegExp(`[ ,]${name}=(?:"([^"]*)"|([^\\s,]+))`, 'i').exec(challenge) ?? [];
    return quoted ?? bare;
  };
  const realm = field('realm');
  const nonce = field('nonce');
  const algorithm = field('algorithm') ?? 'MD5';
  const name = { 'SHA-256': 'sha256', MD5: 'md5' }[algorithm.toUpperCase()];
  if (realm === undefined || nonce === undefined || name === undefined) return undefined;
  const hash = (text: string): string => createHash(name).update(text).digest('hex');
  const count = '00000001';
  const secret = hash(`${credentials.user}:${realm}:${credentials.password}`);
  const response = hash(`${secret}:${nonce}:${count}:${nonceOfClient}:auth:${hash(`${method}:${path}`)}`);
  const opaque = field('opaque');
  return [
    `Digest username="${credentials.user}"`,
    `realm="${realm}"`,
    `nonce="${nonce}"`,
    `uri="${path}"`,
    `algorithm=${algorithm}`,
    `response="${response}"`,
    'qop=auth',
    `nc=${count}`,
    `cnonce="${nonceOfClient}"`,
    ...(opaque === undefined ? [] : [`opaque="${opaque}"`]),
  ].join(', ');
}
