import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { explainSystemError, HelioError } from '../../errors.ts';

/** Large bytes by their SHA-256: checkpoints' tensors and merged pseudo-gradients. What has a name never changes. */
export interface BlobStore {
  /** Resolves when it outlives a power cut. */
  put(hash: string, bytes: Uint8Array): Promise<void>;
  /** @throws HelioError HELIO-3001 when it is missing or damaged */
  get(hash: string): Promise<Uint8Array>;
  delete(hash: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** @throws HelioError HELIO-3001 when the bytes are not those of that name */
export function verify(hash: string, bytes: Uint8Array, place: string): Uint8Array {
  if (hashOf(bytes) === hash) return bytes;
  throw new HelioError(
    'HELIO-3001',
    `${place} is damaged: its SHA-256 is another.`,
    'Restore it from a copy (`heliotrope runs import`), or resume from an earlier checkpoint.',
  );
}

const NAME = /^[0-9a-f]{64}$/;

/** Blobs as files of a folder. */
export class FileBlobs implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async put(hash: string, bytes: Uint8Array): Promise<void> {
    const file = path.join(this.#folder, hash);
    const temporary = `${file}.${process.pid}.tmp`;
    try {
      await mkdir(this.#folder, { recursive: true });
      const handle = await open(temporary, 'w');
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
      await syncFolder(this.#folder);
    } catch (error) {
      await rm(temporary, { force: true });
      throw explainSystemError(error, `write ${file}`);
    }
  }

  async get(hash: string): Promise<Uint8Array> {
    const file = path.join(this.#folder, hash);
    try {
      return verify(hash, await readFile(file), file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw explainSystemError(error, `read ${file}`);
      throw new HelioError(
        'HELIO-3001',
        `${file} is missing, which the run's checkpoint needs.`,
        'Restore the folder from a copy (`heliotrope runs import`), or start the run afresh.',
      );
    }
  }

  async delete(hash: string): Promise<void> {
    rmSync(path.join(this.#folder, hash), { force: true });
  }

  async list(): Promise<readonly string[]> {
    try {
      return readdirSync(this.#folder).filter((name) => NAME.test(name));
    } catch {
      return [];
    }
  }
}

/** A renamed file is there after a power cut only when its folder has reached the disk; Windows has no such call, and needs none. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
