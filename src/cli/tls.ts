import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { generate } from 'selfsigned';
import { explainSystemError, HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';

export interface TlsOptions {
  /** `self-signed`, or nothing. */
  readonly tls?: string | undefined;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** @property fingerprint SHA-256 in hex of a certificate that no authority vouches for */
export interface Tls {
  readonly cert: string;
  readonly key: string;
  readonly fingerprint: string | undefined;
}

/** Islands check the fingerprint. Other programs on this machine, as curl and Prometheus, check a name as well. */
const OWN_NAMES = [
  { type: 2, value: 'heliotrope' },
  { type: 2, value: 'localhost' },
  { type: 7, ip: '127.0.0.1' },
  { type: 7, ip: '::1' },
] as const;
const USES = [
  { name: 'basicConstraints', cA: false, critical: true },
  { name: 'keyUsage', digitalSignature: true, critical: true },
  { name: 'extKeyUsage', serverAuth: true },
] as const;

const TEN_YEARS_MS = 10 * 365 * 86_400_000;

/**
 * The certificate to serve with: a given one, or one of our own that is kept in the run's folder, so that invitations stay good.
 *
 * @throws HelioError HELIO-1006 when options do not fit together, HELIO-3001 when a file is no certificate
 */
export async function tlsOf({ tls, tlsCert, tlsKey }: TlsOptions, folder: string): Promise<Tls | undefined> {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new HelioError('HELIO-1006', '--tls-cert and --tls-key belong together.', 'Give both, or neither.');
  if (tlsCert !== undefined && tlsKey !== undefined) {
    if (tls !== undefined)
      throw new HelioError('HELIO-1006', 'Both --tls and --tls-cert were given.', 'Give one of them.');
    return { ...readPair(tlsCert, tlsKey), fingerprint: undefined };
  }
  if (tls === undefined) return undefined;
  const [certFile, keyFile] = [path.join(folder, 'tls.cert.pem'), path.join(folder, 'tls.key.pem')];
  if (!existsSync(certFile) || !existsSync(keyFile)) {
    const notAfterDate = new Date(Date.now() + TEN_YEARS_MS);
    const made = await generate([{ name: 'commonName', value: 'heliotrope' }], {
      keyType: 'ec',
      notAfterDate,
      extensions: [...USES, { name: 'subjectAltName', altNames: [...OWN_NAMES] }],
    });
    writeWhole(keyFile, made.private, 0o600);
    writeWhole(certFile, made.cert);
  }
  const pair = readPair(certFile, keyFile);
  const fingerprint = createHash('sha256').update(new X509Certificate(pair.cert).raw).digest('hex');
  return { ...pair, fingerprint };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw explainSystemError(error, `read ${file}`);
  }
}

/** @throws HelioError HELIO-3001 when they are none to serve with, or the system's error */
export function readPair(certFile: string, keyFile: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [read(certFile), read(keyFile)];
  try {
    const leaf = new X509Certificate(cert);
    if (Date.parse(leaf.validTo) < Date.now()) throw new Error(`it expired on ${leaf.validTo}`);
    if (!leaf.checkPrivateKey(createPrivateKey(key))) throw new Error(`the key in ${keyFile} belongs to another`);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HelioError(
      'HELIO-3001',
      `${certFile} is no certificate to serve with (${why}).`,
      'Name a valid one in PEM.',
    );
  }
}
