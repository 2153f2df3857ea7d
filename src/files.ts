import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { explainSystemError } from './errors.ts';

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed.
 *
 * @throws HelioError HELIO-3002 (no space), HELIO-3003 (no permission), HELIO-3004
 */
export function writeWhole(file: string, content: string | Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const descriptor = openSync(temporary, 'w');
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw explainSystemError(error, `write ${file}`);
  }
}
