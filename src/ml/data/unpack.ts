import { createHash, randomUUID } from 'node:crypto';
import {
  chmodSync,
  createReadStream,
  existsSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import { explainSystemError, HelioError } from '../../errors.ts';
import { makeFolder } from '../../files.ts';
import { kindOf, type Packing, packingOf } from './corpus-files.ts';
import { parquetLines } from './parquet.ts';
import { TEXT_FIELDS } from './records.ts';
import type { TextFile } from './text-file.ts';
import { unpackedBy, unpackZstandard } from './zstd-frames.ts';

/**
 * Corpora that come packed (.gz, .zst, .parquet) are unpacked once, piece by piece, into plain files that can be read from any place: shards, and a
 * run that is resumed, begin in the middle. All islands of a machine and user share them; those that nobody has used for a month are deleted.
 */

export interface UnpackOptions {
  /** Where unpacked files are kept. */
  readonly folder: string;
  /** Column of a Parquet file that is the text, where it is not one of {@link TEXT_FIELDS}. */
  readonly field: string | undefined;
  /** How many times its size a file may unpack to, beyond {@link FREE_BYTES}. */
  readonly mostTimes?: number;
}

/** Text packs into a tenth, and logs into a hundredth; only what is made to fill a disk packs better. */
const MOST_TIMES = 200;
/** So much it may unpack to whatever its size. */
const FREE_BYTES = 2 ** 26;
/** What is left of the disk. */
const DISK_SHARE = 0.9;
const KEPT_MS = 30 * 86_400_000;

/**
 * Files as they can be read by place: those that are packed are unpacked first.
 *
 * @throws HelioError HELIO-1003 when one is damaged, or unpacks to more than text does; HELIO-3002 when the disk has no room for it
 */
export async function unpackFiles(files: readonly string[], options: UnpackOptions): Promise<readonly TextFile[]> {
  const texts: TextFile[] = [];
  for (const file of files)
    texts.push({ file: packingOf(file) === undefined ? file : await unpackFile(file, options), name: file });
  return texts;
}

async function unpackFile(file: string, options: UnpackOptions): Promise<string> {
  const { size, mtimeMs } = requireFile(file);
  const packing = packingOf(file)!;
  const key = [realpathSync(file), size, mtimeMs, packing === 'Parquet' ? (options.field ?? null) : null];
  const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 32);
  const target = path.join(options.folder, `${name}${kindOf(file) === 'lines' ? '.jsonl' : '.txt'}`);
  if (existsSync(target)) {
    utimesSync(target, new Date(), new Date());
    return target;
  }
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    makeFolder(options.folder);
    chmodSync(options.folder, 0o700);
    deleteUnused(options.folder);
    const most = Math.max(FREE_BYTES, size * (options.mostTimes ?? MOST_TIMES));
    const { bavail, bsize } = statfsSync(options.folder);
    await write(temporary, atMost(piecesOf(file, packing, options.field), file, most, DISK_SHARE * bavail * bsize));
    renameSync(temporary, target);
    return target;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw explain(error, file, packing);
  }
}

async function write(file: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    for await (const piece of pieces) await handle.writeFile(piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function piecesOf(file: string, packing: Packing, field: string | undefined): AsyncIterable<Uint8Array> {
  switch (packing) {
    case 'gzip':
      return unpackedBy(createReadStream(file), createGunzip());
    case 'Zstandard':
      return unpackZstandard(file);
    case 'Parquet':
      return inPieces(parquetLines(file, field === undefined ? TEXT_FIELDS : [field]));
  }
}

function requireFile(file: string): { readonly size: number; readonly mtimeMs: number } {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return stat;
  throw new HelioError('HELIO-1003', `The corpus file ${file} is no file.`, 'Leave it out of data.paths.');
}

async function* atMost(
  pieces: AsyncIterable<Uint8Array>,
  file: string,
  most: number,
  room: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > most)
      throw new HelioError(
        'HELIO-1003',
        `The corpus file ${file} unpacks to more than ${Math.round(most / 2 ** 20)} MiB, far more than a text of its size does.`,
        'Unpack it yourself if you trust it, or leave it out of data.paths.',
      );
    if (bytes > room)
      throw new HelioError(
        'HELIO-3002',
        `The disk has no room for what ${file} unpacks to: more than ${Math.round(room / 2 ** 20)} MiB.`,
        'Make room, or set HELIOTROPE_HOME to a folder on another disk.',
      );
    yield piece;
  }
}

const PIECE_BYTES = 2 ** 18;

/** Short lines together, so that each costs no write of its own. */
async function* inPieces(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let [waiting, length]: [string[], number] = [[], 0];
  for await (const line of lines) {
    waiting.push(line);
    length += line.length;
    if (length < PIECE_BYTES) continue;
    yield Buffer.from(waiting.join(''));
    [waiting, length] = [[], 0];
  }
  if (length > 0) yield Buffer.from(waiting.join(''));
}

function deleteUnused(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && Date.now() - stat.mtimeMs > KEPT_MS) rmSync(file, { force: true });
  }
}

function explain(error: unknown, file: string, packing: string): HelioError {
  if (error instanceof HelioError) return error;
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (syscall !== undefined || code === 'ENOSPC') return explainSystemError(error, `unpack ${file}`);
  return new HelioError(
    'HELIO-1003',
    `The corpus file ${file} cannot be unpacked as ${packing}: ${message.replace(/\.$/, '')}.`,
    'Fetch it again, or leave it out of data.paths.',
    { cause: error },
  );
}
