import {
  chmodSync,
  closeSync,
  cpSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { create, extract, list } from 'tar';
import type { History } from '../../coordinator/store/run-store.ts';
import { explainSystemError, HelioError } from '../../errors.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { runIdentity } from '../host-run.ts';
import { readRunFile } from '../run-file.ts';
import { createRunFolder, findRun } from '../run-folder.ts';
import { refuseIfHosted } from '../run-lock.ts';
import { openStores } from '../stores.ts';

/**
 * What stays behind: stores, which are written out, marks and traces of this machine, and secrets unless they are asked for. Nothing of it
 * is taken from an archive either: whoever wrote that would choose a database, or who the host says it is.
 */
const LEFT_OUT = /^(run\.sqlite.*|run\.lock.*|islands|stores\.json|served\.json|trace\.json)$/;
const BLOBS = 'blobs';
const SECRETS = /^(run\.key|run\.admin|tls\.key\.pem)$/;
const HISTORY = 'history.json';

export interface ExportOptions {
  readonly out?: string;
  readonly withKeys?: boolean;
}

/** Writes a whole run, wherever its stores are, into one file to keep or to take elsewhere. */
export async function exportRun(run: string, options: ExportOptions, context: CommandContext): Promise<number> {
  const folder = findRun(context.runs, run);
  refuseIfHosted(folder);
  const { job } = readRunFile(path.join(folder, 'run.yaml'));
  const out = path.resolve(options.out ?? `${job.name}.heliotrope.tar.gz`);
  const scratch = mkdtempSync(path.join(tmpdir(), 'heliotrope-export-'));
  try {
    cpSync(folder, scratch, {
      recursive: true,
      filter: (source) => {
        const name = path.relative(folder, source).split(path.sep)[0]!;
        return name !== BLOBS && !LEFT_OUT.test(name) && (options.withKeys === true || !SECRETS.test(name));
      },
    });
    const { store, blobs } = await openStores(
      { store: undefined, blobs: undefined },
      folder,
      runIdentity(job.name, folder),
    );
    const history = forWhom(await store.history(), options.withKeys === true);
    await store.close();
    writeFileSync(path.join(scratch, HISTORY), JSON.stringify(history));
    mkdirSync(path.join(scratch, BLOBS));
    for (const hash of blobsOf(history))
      await pipeline(blobs.getPieces(hash), createWriteStream(path.join(scratch, BLOBS, hash)));
    // With keys it is nobody else's: whoever has them is the host.
    closeSync(openSync(out, 'w', options.withKeys === true ? 0o600 : 0o666));
    if (options.withKeys === true) chmodSync(out, 0o600);
    await create({ gzip: true, cwd: scratch, file: out, portable: true }, ['.']);
  } catch (error) {
    throw explainSystemError(error, `export the run to ${out}`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  if (context.json) printJson({ run: job.name, file: out });
  else print(`${job.name} is in ${path.relative('', out)}. Elsewhere: heliotrope runs import ${path.basename(out)}`);
  return 0;
}

/** Makes a run of this folder of what was exported; it is resumed as any other. */
export async function importRun(file: string, context: CommandContext): Promise<number> {
  let unlock = (): void => {};
  const scratch = mkdtempSync(path.join(tmpdir(), 'heliotrope-import-'));
  try {
    await unpack(file, scratch);
    const { job } = readRunFile(path.join(scratch, 'run.yaml'));
    const history = JSON.parse(readFileSync(path.join(scratch, HISTORY), 'utf8')) as History;
    const made = createRunFolder(context.runs, job.name);
    const { folder, keptAs } = made;
    unlock = made.unlock;
    cpSync(scratch, folder, { recursive: true, filter: (source) => isImported(path.relative(scratch, source)) });
    const { store, blobs } = await openStores(
      { store: undefined, blobs: undefined },
      folder,
      runIdentity(job.name, folder),
    );
    // Every blob is read once: a damaged one is found now, and not in the middle of a run.
    for (const hash of blobsOf(history)) for await (const _ of blobs.getPieces(hash));
    await store.load(history);
    await store.close();
    if (context.json) printJson({ run: job.name, folder, keptAs: keptAs ?? null });
    else {
      if (keptAs !== undefined) print(`the earlier run is kept in ${path.relative('', keptAs)}`);
      print(`${job.name} is in ${path.relative('', folder)}. Go on: heliotrope train --resume ${job.name}`);
    }
  } finally {
    unlock();
    rmSync(scratch, { recursive: true, force: true });
  }
  return 0;
}

/** The token of the host's HTTP side is made anew: whoever wrote the archive knows that one. */
function isImported(name: string): boolean {
  const [top = ''] = name.split(path.sep);
  return top !== HISTORY && top !== 'run.admin' && !LEFT_OUT.test(top);
}

/** Without keys, islands' names are free for the keys that come to the new host. */
function forWhom(history: History, withKeys: boolean): History {
  if (withKeys) return history;
  const last = history.events.at(-1);
  const seq = (last?.seq ?? history.checkpoint?.seq ?? 0) + 1;
  const event = { kind: 'keys-forgotten' } as const;
  return { ...history, events: [...history.events, { seq, atMs: last?.atMs ?? 0, event }] };
}

const blobsOf = ({ checkpoint, merges }: History): ReadonlySet<string> =>
  new Set([...Object.values(checkpoint?.blobs ?? {}), ...merges.map(({ blob }) => blob)]);

/** Only plain files and folders inside come out of an archive. */
async function unpack(file: string, into: string): Promise<void> {
  if (!existsSync(file))
    throw new HelioError('HELIO-1005', `${file} does not exist.`, 'Name what `runs export` wrote.');
  const foreign = (why: string): HelioError =>
    new HelioError(
      'HELIO-3001',
      `${file} is no exported run: ${why}.`,
      'Name what `heliotrope runs export` wrote, whole.',
    );
  try {
    const names: string[] = [];
    await list({ file, strict: true, onReadEntry: (entry) => names.push(path.normalize(entry.path)) });
    for (const needed of ['run.yaml', 'run.id', HISTORY])
      if (!names.includes(needed)) throw foreign(`it holds no ${needed}`);
    await extract({
      file,
      cwd: into,
      strict: true,
      filter: (_, entry) => 'type' in entry && ['File', 'Directory'].includes(entry.type),
    });
  } catch (error) {
    throw error instanceof HelioError ? error : foreign(error instanceof Error ? error.message : String(error));
  }
}
