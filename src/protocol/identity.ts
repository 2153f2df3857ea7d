import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWith,
  verify as verifyWith,
} from 'node:crypto';

/** Ed25519 (RFC 8032): who an island is, and who a run's host is. Keys and signatures travel in base64url without padding. */
export interface Identity {
  /** The 32 bytes of the public key: 43 characters. */
  readonly publicKey: string;
  /** @returns a signature of 64 bytes: 86 characters */
  sign(text: string): string;
  /** The private key as PKCS #8 PEM, for a file that nobody else may read. */
  toPem(): string;
}

export const KEY_PATTERN = /^[A-Za-z0-9_-]{43}$/;
export const SIGNATURE_PATTERN = /^[A-Za-z0-9_-]{86}$/;

/** The bytes in front of every Ed25519 public key in SubjectPublicKeyInfo (RFC 8410, section 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export const newIdentity = (): Identity => identityOf(generateKeyPairSync('ed25519').privateKey);

/** @throws Error when the text is no private Ed25519 key */
export function identityFromPem(pem: string): Identity {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`a key of type ${key.asymmetricKeyType}, not ed25519`);
  return identityOf(key);
}

function identityOf(privateKey: KeyObject): Identity {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return {
    publicKey: spki.subarray(SPKI_PREFIX.length).toString('base64url'),
    sign: (text) => signWith(null, Buffer.from(text), privateKey).toString('base64url'),
    toPem: () => String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/** Whether the holder of a public key has signed a text; false for whatever is no key or no signature. */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  if (!KEY_PATTERN.test(publicKey) || !SIGNATURE_PATTERN.test(signature)) return false;
  try {
    const der = Buffer.concat([SPKI_PREFIX, Buffer.from(publicKey, 'base64url')]);
    const key = createPublicKey({ key: der, type: 'spki', format: 'der' });
    return verifyWith(null, Buffer.from(text), key, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}

/** What an island signs to show that it holds its key now: the coordinator's challenge makes it of use once. */
export const helloText = (nonce: string, island: string): string => `heliotrope hello\n${nonce}\n${island}`;

/** What an island signs with every contribution: bound to run, fragment, round and bytes, it is of use nowhere else. */
export function updateText(run: string, update: SignedUpdate, sha256: string): string {
  const { fragment, version, round, steps, tokens, form, codec } = update;
  return `heliotrope update\n${JSON.stringify([run, fragment, version, round, steps, tokens, form, codec, sha256])}`;
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
