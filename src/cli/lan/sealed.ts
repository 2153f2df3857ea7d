import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** What a host tells who knows its code, under the key that both have agreed on: AES-256-GCM, so that nobody in between reads or changes it. */

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const keyOf = (sessionKey: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', Buffer.from(sessionKey, 'base64url'), '', 'heliotrope code 1', 32));

/** @param attempt the exchange that it belongs to */
export function seal(text: string, sessionKey: string, attempt: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyOf(sessionKey), nonce).setAAD(Buffer.from(attempt));
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** @returns undefined when it was sealed under another key, for another exchange, or changed on the way */
export function unseal(sealed: string, sessionKey: string, attempt: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', keyOf(sessionKey), nonce, { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(attempt))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}
