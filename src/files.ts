import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { explainSystemError } from './errors.ts';

/**
 * Makes a folder and those above it. (Node's own recursive mkdir reports a read-only disk as ENOENT, and never
 * returns on some file systems.)
 *
 * @throws the system's own error
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const above = path.dirname(folder);
    // One step up a time: when the folder above is there and this one still cannot be made, that is the error.
    if (code === 'ENOENT' && above !== folder && !existsSync(above)) makeFolder(above);
    // Islands that share a machine make the same folders at once: another may have been here since.
    if (!existsSync(folder)) makeIn(folder);
  }
}

function makeIn(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

/** Most bytes of one call: the system takes less than 2 GiB, and smaller ones cost nothing. */
const WRITE_BYTES = 2 ** 26;

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed.
 *
 * @param mode who may read it; 0o600: its owner alone
 * @throws HelioError HELIO-3002 (no space), HELIO-3003 (no permission), HELIO-3004
 */
export function writeWhole(file: string, content: string | Uint8Array, mode?: number): void {
  writePieces(file, [typeof content === 'string' ? new TextEncoder().encode(content) : content], mode);
}

/**
 * The same for what is too large to be held whole: each piece is written before the next one is made.
 *
 * @throws HelioError as {@link writeWhole}, and what making a piece throws; there is no file then
 */
export function writePieces(file: string, pieces: Iterable<Uint8Array>, mode = 0o666): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    makeFolder(path.dirname(file));
    const descriptor = openSync(temporary, 'w', mode);
    try {
      for (const piece of pieces)
        for (let at = 0; at < piece.length; ) at += writeSync(descriptor, piece.subarray(at, at + WRITE_BYTES));
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
