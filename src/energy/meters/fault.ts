import { HelioError } from '../../errors.ts';

/** What can be wrong with a meter, each said once and in the same words for every kind of connection. */

const detail = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error).slice(0, 300);
  const { code } = error as NodeJS.ErrnoException;
  return (error.message === '' ? (code ?? error.name) : error.message).slice(0, 300);
};

/** Node's words for "nobody vouches for this certificate". */
const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|CERT_|ALTNAME/;

export function unreachable(device: string, address: string, error: unknown): HelioError {
  if (error instanceof HelioError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  if (UNTRUSTED.test(code))
    return new HelioError(
      'HELIO-6101',
      `${device} at ${address} shows a certificate that nobody vouches for (${code}).`,
      'Home devices do. If it is yours, allow it: --set selfSigned=true.',
      { cause: error },
    );
  return new HelioError(
    'HELIO-6101',
    `${device} at ${address} cannot be reached: ${detail(error)}.`,
    'Check that it is on, its address, and that its local interface is switched on.',
    { cause: error },
  );
}

export const late = (device: string, address: string, what: string, timeoutMs: number): HelioError =>
  new HelioError(
    'HELIO-6105',
    `${device} at ${address} did not ${what} within ${timeoutMs / 1_000} s.`,
    'Check the address; if it is only slow, raise timeoutS in its template.',
  );

export const refused = (device: string, address: string, what: string, remedy: string): HelioError =>
  new HelioError('HELIO-6104', `${device} at ${address} refused: ${what}.`, remedy);

/** It answered, and this value is not in what it said. */
export const unusable = (
  device: string,
  what: string,
  remedy = 'Check the template against the device’s firmware.',
): HelioError => new HelioError('HELIO-6102', `${device}: ${what}.`, remedy);

/**
 * A promise with an end: what comes later is dropped.
 *
 * @throws what `otherwise` makes when `timeoutMs` pass first
 */
export async function within<T>(promise: Promise<T>, timeoutMs: number, otherwise: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(otherwise()), timeoutMs);
  });
  try {
    return await Promise.race([promise, end]);
  } finally {
    clearTimeout(timer);
  }
}
