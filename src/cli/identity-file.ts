import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { explainSystemError, HelioError } from '../errors.ts';
import { makeFolder } from '../files.ts';
import { type Identity, identityFromPem, newIdentity } from '../protocol/identity.ts';

/**
 * The key in a file that nobody else may read; made when it is not there yet.
 *
 * @throws HelioError HELIO-3001 when the file is no Ed25519 key, HELIO-3002 to 3004 when it cannot be written
 */
export async function keptIdentity(file: string): Promise<Identity> {
  if (!existsSync(file)) await make(file);
  try {
    return await identityFromPem(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new HelioError(
      'HELIO-3001',
      `${file} is no private Ed25519 key.`,
      'Restore it from a copy; without it this machine is a stranger to runs that know it.',
      { cause: error },
    );
  }
}

/** Of two processes that make it at once, one does, and both use that. */
async function make(file: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  const { pem } = await newIdentity();
  try {
    makeFolder(path.dirname(file));
    writeFileSync(temporary, pem, { mode: 0o600, flush: true });
    linkSync(temporary, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw explainSystemError(error, `write ${file}`);
  } finally {
    rmSync(temporary, { force: true });
  }
}
