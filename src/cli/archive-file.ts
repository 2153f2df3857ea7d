import { closeSync, createReadStream, openSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { explainSystemError, HelioError } from '../errors.ts';
import { makeFolder } from '../files.ts';

/**
 * The file of an exported run. It may come from a stranger: only known names are taken from it, as plain files of bounded size, and nothing that says
 * where the run's stores are or who hosts it.
 */

export const HISTORY = 'history.json';
export const BLOBS = 'blobs';

const OF_A_RUN: readonly RegExp[] = [
  /^run\.(yaml|id)$/,
  /^history\.json$/,
  /^blobs\/[0-9a-f]{64}$/,
  /^(summary|costs|preparation|config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json$/,
  /^chat_template\.jinja$/,
  /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/,
  /^adapter\/adapter_(config\.json|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?)$/,
  /^metrics(\.[12])?\.jsonl$/,
  /^events(\.[12])?\.log$/,
  /^receipts\.jsonl$/,
  /^(README\.md|report\.html)$/,
];
/** Secret files of the host: whoever has them is the host. */
const SECRET = /^(run\.key|tls\.(key|cert)\.pem)$/;

/** @param name relative to the run's folder, with slashes */
export const isOfRun = (name: string, withKeys: boolean): boolean =>
  OF_A_RUN.some((each) => each.test(name)) || (withKeys && SECRET.test(name));

const MOST_FILES = 100_000;
/** Of files that are read whole. */
const MOST_BYTES: Readonly<Record<string, number>> = {
  'run.yaml': 2 ** 20,
  'run.id': 64,
  'run.key': 2 ** 16,
  'tls.key.pem': 2 ** 16,
  'tls.cert.pem': 2 ** 16,
  'summary.json': 2 ** 26,
  'costs.json': 2 ** 26,
  'history.json': 400 * 2 ** 20,
};
/** A run's numbers hardly get smaller; what unpacks to more than this many times its size, beyond a gibibyte, is no run. */
const MOST_RATIO = 20;
const FREE_BYTES = 2 ** 30;

export interface Unpacked {
  /** Whether it holds keys of a host. */
  readonly hasKeys: boolean;
  /** Files that no run has, and that were left where they are. */
  readonly others: number;
}

/**
 * Unpacks what a run has into an empty folder.
 *
 * @param withKeys also the host's keys
 * @throws HelioError HELIO-1005 when there is no such file, HELIO-3001 when it is not an exported run, or holds what an archive of one does not
 */
export async function unpackRun(file: string, into: string, withKeys: boolean): Promise<Unpacked> {
  const size = sizeOf(file);
  const unpacking = new Unpacking(file, into, withKeys);
  const parser = new Parser({ strict: true });
  let failure: unknown;
  parser.on('error', (error: unknown) => {
    failure ??= error;
  });
  parser.on('entry', (entry: ReadEntry) => unpacking.take(entry));
  let isWhole = false;
  parser.on('eof', () => {
    isWhole = true;
  });
  const source = createReadStream(file);
  const unzipped = source.pipe(createGunzip({ chunkSize: 2 ** 18 }));
  source.on('error', (error) => unzipped.destroy(error));
  let bytes = 0;
  try {
    for await (const chunk of unzipped as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > FREE_BYTES + MOST_RATIO * size) throw unpacking.foreign('it unpacks to far more than a run is');
      // What comes after the end is only counted.
      if (!isWhole) parser.write(chunk);
      if (failure !== undefined) throw failure;
    }
    if (!isWhole) throw unpacking.foreign('it was cut off');
  } catch (error) {
    if (error instanceof HelioError) throw error;
    if (typeof (error as NodeJS.ErrnoException).syscall === 'string') throw explainSystemError(error, `unpack ${file}`);
    throw unpacking.foreign(error instanceof Error ? error.message : String(error));
  } finally {
    source.destroy();
    unzipped.destroy();
    unpacking.close();
  }
  return unpacking.result();
}

class Unpacking {
  readonly #file: string;
  readonly #into: string;
  readonly #withKeys: boolean;
  readonly #names = new Set<string>();
  #entries = 0;
  #others = 0;
  #hasKeys = false;
  /** What is being written. */
  #open: number | undefined;

  constructor(file: string, into: string, withKeys: boolean) {
    this.#file = file;
    this.#into = into;
    this.#withKeys = withKeys;
  }

  take(entry: ReadEntry): void {
    const name = entry.path.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    if (entry.type === 'Directory') return void entry.resume();
    if (entry.type !== 'File' && entry.type !== 'OldFile') throw this.foreign(`${shown(name)} is no plain file in it`);
    if (path.isAbsolute(name) || /[\\\0]/.test(name) || name.split('/').includes('..'))
      throw this.foreign(`it names a file outside of itself, ${shown(name)}`);
    if (++this.#entries > MOST_FILES) throw this.foreign(`it holds more than ${MOST_FILES} files`);
    if (SECRET.test(name)) this.#hasKeys = true;
    if (!isOfRun(name, this.#withKeys)) {
      if (!SECRET.test(name)) this.#others++;
      return void entry.resume();
    }
    if (this.#names.has(name)) throw this.foreign(`it holds ${name} twice`);
    this.#names.add(name);
    if (entry.size > (MOST_BYTES[name] ?? Number.POSITIVE_INFINITY))
      throw this.foreign(`${name} has ${entry.size} bytes in it`);
    this.#write(entry, name);
  }

  /** @throws HelioError HELIO-3001 when something is missing that every run has */
  result(): Unpacked {
    for (const needed of ['run.yaml', 'run.id', HISTORY])
      if (!this.#names.has(needed)) throw this.foreign(`it holds no ${needed}`);
    return { hasKeys: this.#hasKeys, others: this.#others };
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open);
    this.#open = undefined;
  }

  foreign(why: string): HelioError {
    return new HelioError(
      'HELIO-3001',
      `${this.#file} is not an exported run: ${why}.`,
      'Name what `heliotrope runs export` wrote, whole.',
    );
  }

  #write(entry: ReadEntry, name: string): void {
    const target = path.join(this.#into, name);
    makeFolder(path.dirname(target));
    const descriptor = openSync(target, 'wx', SECRET.test(name) ? 0o600 : 0o666);
    this.#open = descriptor;
    entry.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; ) at += writeSync(descriptor, chunk, at);
    });
    entry.on('end', () => this.close());
  }
}

function sizeOf(file: string): number {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return stat.size;
  throw new HelioError('HELIO-1005', `${file} does not exist.`, 'Name what `runs export` wrote.');
}

/** A name from outside, for a message. */
const shown = (name: string): string => JSON.stringify(name.slice(0, 100));
