import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { explainSystemError, HelioError } from '../../errors.ts';
import { HOST, isAlive } from '../../processes.ts';
import { type BlobStore, NAME, PIECE_BYTES, type Pieces } from './blobs.ts';
import { verified, verify } from './pieces.ts';
import { within } from './retry.ts';

/** Blobs as files of a folder: each is written under a temporary name, synced and renamed. */
export class FileBlobs implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  put(hash: string, bytes: Uint8Array): Promise<void> {
    return this.#write(hash, [bytes]);
  }

  putPieces(hash: string, size: number, pieces: Pieces): Promise<void> {
    return this.#write(hash, verified(hash, size, pieces, `What was to be ${this.#file(hash)}`));
  }

  async get(hash: string): Promise<Uint8Array> {
    const file = this.#file(hash);
    try {
      return verify(hash, await readWhole(file), file);
    } catch (error) {
      throw explainRead(error, file);
    }
  }

  async *getPieces(hash: string): AsyncGenerator<Uint8Array> {
    const file = this.#file(hash);
    try {
      yield* verified(hash, undefined, readPieces(file), file);
    } catch (error) {
      throw explainRead(error, file);
    }
  }

  async delete(hash: string): Promise<void> {
    try {
      await rm(this.#file(hash), { force: true });
    } catch (error) {
      throw explainSystemError(error, `delete ${this.#file(hash)}`);
    }
  }

  async list(): Promise<readonly string[]> {
    return (await this.#names()).filter((name) => NAME.test(name));
  }

  async tidy(): Promise<void> {
    for (const name of await this.#names()) {
      const file = path.join(this.#folder, name);
      try {
        if (isAbandoned(name, await ageMs(file))) await rm(file, { force: true });
      } catch (error) {
        throw explainSystemError(error, `delete ${file}`);
      }
    }
  }

  /** A folder that is not made yet is one that nothing was put in; a disk that does not answer is none. */
  async ping(): Promise<void> {
    try {
      await within(stat(path.dirname(this.#folder)), PING_MS);
    } catch (error) {
      throw explainSystemError(error, `look into ${this.#folder}`);
    }
  }

  #file(hash: string): string {
    return path.join(this.#folder, hash);
  }

  async #write(hash: string, pieces: Pieces): Promise<void> {
    const file = this.#file(hash);
    const temporary = `${file}.${HOST}-${process.pid}-${startedMs()}.tmp`;
    try {
      await mkdir(this.#folder, { recursive: true });
      const handle = await open(temporary, 'w');
      try {
        for await (const piece of pieces) await handle.writeFile(piece);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
      await syncFolder(this.#folder);
    } catch (error) {
      // What is to be told is why it could not be written, and not why the rest of it could not be removed.
      await rm(temporary, { force: true }).catch(() => {});
      throw explainSystemError(error, `write ${file}`);
    }
  }

  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.#folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw explainSystemError(error, `list ${this.#folder}`);
    }
  }
}

/** How long a disk is waited for when it is only asked whether it is there. */
const PING_MS = 3_000;
/** After this, a half-written file belongs to nobody: whoever writes one changes it all the time. */
const ABANDONED_MS = 3_600_000;

/** Tells this process from an earlier one that had its id, as the first in a container always does. */
const startedMs = (): number => Math.floor(performance.timeOrigin);
const TEMPORARY = /^[0-9a-f]{64}\.(?:([0-9a-f]{8})-)?(\d+)(?:-(\d+))?\.tmp$/;

/** Whether nobody writes this file any more. */
function isAbandoned(name: string, fileAgeMs: number): boolean {
  const [, host, pid, started] = TEMPORARY.exec(name) ?? [];
  if (pid === undefined) return false;
  if (host === HOST && Number(pid) === process.pid) return Number(started) !== startedMs();
  if (host === HOST && !isAlive(Number(pid))) return true;
  return fileAgeMs > ABANDONED_MS;
}

async function ageMs(file: string): Promise<number> {
  try {
    return Date.now() - (await stat(file)).mtimeMs;
  } catch (error) {
    // Renamed meanwhile: it is somebody's.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

async function readWhole(file: string): Promise<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    const whole = new Uint8Array((await handle.stat()).size);
    let at = 0;
    // One read takes at most 2 GiB.
    for (let read = -1; read !== 0 && at < whole.length; at += read) read = await readInto(handle, whole.subarray(at));
    return whole.subarray(0, at);
  } finally {
    await handle.close();
  }
}

async function* readPieces(file: string): AsyncGenerator<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    for (;;) {
      const piece = new Uint8Array(PIECE_BYTES);
      const read = await readInto(handle, piece);
      if (read === 0) return;
      yield piece.subarray(0, read);
    }
  } finally {
    await handle.close();
  }
}

async function readInto(handle: FileHandle, into: Uint8Array): Promise<number> {
  return (await handle.read(into, 0, Math.min(into.length, PIECE_BYTES))).bytesRead;
}

function explainRead(error: unknown, file: string): HelioError {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return explainSystemError(error, `read ${file}`);
  return new HelioError(
    'HELIO-3001',
    `${file} is missing, which the run's checkpoint needs.`,
    'Restore the folder from a copy (`heliotrope runs import`), or start the run afresh.',
    { cause: error },
  );
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
