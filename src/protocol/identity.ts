/**
 * Ed25519 (RFC 8032) identities of islands and hosts. Keys and signatures are sent in base64url without padding. By WebCrypto, so that a browser
 * does the same, and signing waits for no thread that has other work.
 */
export interface Identity {
  /** The 32 bytes of the public key: 43 characters. */
  readonly publicKey: string;
  /** @returns a signature of 64 bytes: 86 characters */
  sign(text: string): Promise<string>;
  /** The private key as PKCS #8 PEM, for a file that nobody else may read. */
  readonly pem: string;
}

export const KEY_PATTERN = /^[A-Za-z0-9_-]{43}$/;
export const SIGNATURE_PATTERN = /^[A-Za-z0-9_-]{86}$/;

const ALGORITHM = 'Ed25519';
/** The bytes in front of the 32 of every private Ed25519 key in PKCS #8 (RFC 8410, section 7). */
const PKCS8_PREFIX = Uint8Array.of(
  0x30,
  0x2e,
  0x02,
  0x01,
  0x00,
  0x30,
  0x05,
  0x06,
  0x03,
  0x2b,
  0x65,
  0x70,
  0x04,
  0x22,
  0x04,
  0x20,
);

const textBytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

export async function newIdentity(): Promise<Identity> {
  const { privateKey } = (await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as {
    readonly privateKey: PrivateKey;
  };
  return identityOf(privateKey);
}
type PrivateKey = Parameters<typeof crypto.subtle.sign>[1];

/** @throws Error when the text is no private Ed25519 key */
export async function identityFromPem(pem: string): Promise<Identity> {
  const [, body] = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----/.exec(pem) ?? [];
  const der = fromBase64((body ?? '').replace(/\s/g, ''));
  if (der.length !== PKCS8_PREFIX.length + 32 || PKCS8_PREFIX.some((byte, i) => der[i] !== byte))
    throw new Error('it holds no private Ed25519 key in PKCS #8');
  return identityOf(await crypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']));
}

async function identityOf(key: PrivateKey): Promise<Identity> {
  const { x } = (await crypto.subtle.exportKey('jwk', key)) as { readonly x?: string };
  const der = new Uint8Array((await crypto.subtle.exportKey('pkcs8', key)) as ArrayBuffer);
  return {
    publicKey: x!,
    sign: async (text) => base64url(new Uint8Array(await crypto.subtle.sign(ALGORITHM, key, textBytes(text)))),
    pem: `-----BEGIN PRIVATE KEY-----\n${btoa(String.fromCharCode(...der))}\n-----END PRIVATE KEY-----\n`,
  };
}

/** Whether the holder of a public key has signed a text; false for whatever is no key or no signature. */
export async function isSignedBy(publicKey: string, text: string, signature: string): Promise<boolean> {
  if (!KEY_PATTERN.test(publicKey) || !SIGNATURE_PATTERN.test(signature)) return false;
  try {
    const key = await crypto.subtle.importKey('raw', fromBase64(publicKey), ALGORITHM, false, ['verify']);
    return await crypto.subtle.verify(ALGORITHM, key, fromBase64(signature), textBytes(text));
  } catch {
    return false;
  }
}

export const base64url = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** Of either alphabet. @throws Error when it is none */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** What an island signs to show that it holds its key now: of use once, by the coordinator's challenge, and to the coordinator of this run alone. */
export const helloText = (nonce: string, run: string, island: string): string =>
  `heliotrope hello\n${nonce}\n${run}\n${island}`;

/** What an island signs with every contribution: bound to run, fragment, round and bytes, it is of use nowhere else. */
export function updateText(run: string, update: SignedUpdate, hash: string): string {
  const { fragment, version, round, steps, tokens, form, codec } = update;
  return `heliotrope update\n${JSON.stringify([run, fragment, version, round, steps, tokens, form, codec, hash])}`;
}

export interface SignedUpdate {
  readonly fragment: number;
  readonly version: number;
  readonly round: number;
  readonly steps: number;
  readonly tokens: number;
  readonly form: string;
  readonly codec: string;
}
