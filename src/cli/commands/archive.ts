import {
  chmodSync,
  closeSync,
  cpSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { create } from 'tar';
import { FileBlobs } from '../../coordinator/store/file-blobs.ts';
import type { History } from '../../coordinator/store/run-store.ts';
import { explainSystemError, HelioError } from '../../errors.ts';
import { makeFolder } from '../../files.ts';
import type { Job } from '../../protocol/run-file.ts';
import { BLOBS, HISTORY, isOfRun, unpackRun } from '../archive-file.ts';
import { blobsOf, readHistory, withoutKeys } from '../archive-history.ts';
import { receiptsOf, takeReceipts } from '../archive-receipts.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { adminTokenOf, runIdentity } from '../host-run.ts';
import { count } from '../live/format.ts';
import { RECEIPTS_FILE } from '../receipt-lines.ts';
import type { Summary } from '../records.ts';
import { readRunFile } from '../run-file.ts';
import { createRunFolder, findRun, readJson } from '../run-folder.ts';
import { refuseIfHosted } from '../run-lock.ts';
import { openStores } from '../stores.ts';
import { sanitized } from '../terminal-text.ts';

export interface ExportOptions {
  readonly out?: string;
  readonly withKeys?: boolean;
}

export interface ImportOptions {
  /** Takes the host's keys over that are in it: it is the importer's own run. */
  readonly withKeys?: boolean;
}

/** Writes a whole run, wherever its stores are, into one file to keep or to take elsewhere. */
export async function exportRun(run: string, options: ExportOptions, context: CommandContext): Promise<number> {
  const folder = findRun(context.runs, run);
  const withKeys = options.withKeys === true;
  refuseIfHosted(folder);
  const { job } = readRunFile(path.join(folder, 'run.yaml'));
  const out = path.resolve(options.out ?? `${job.name}.heliotrope.tar.gz`);
  const scratch = mkdtempSync(path.join(tmpdir(), 'heliotrope-export-'));
  try {
    cpSync(folder, scratch, {
      recursive: true,
      filter: (source) => {
        const name = path.relative(folder, source).replaceAll(path.sep, '/');
        // Blobs come from their store, wherever it is.
        if (name === BLOBS || name.startsWith(`${BLOBS}/`)) return false;
        return name === '' || (name === 'adapter' && statSync(source).isDirectory()) || isOfRun(name, withKeys);
      },
    });
    const { store, blobs } = await openStores(
      { store: undefined, blobs: undefined },
      folder,
      runIdentity(job.name, folder),
    );
    const whole = await store.history();
    const history = withKeys ? whole : withoutKeys(whole);
    await pipeline(
      await receiptsOf(store, folder),
      createWriteStream(path.join(scratch, RECEIPTS_FILE), { flags: 'a' }),
    );
    await store.close();
    writeFileSync(path.join(scratch, HISTORY), JSON.stringify(history));
    mkdirSync(path.join(scratch, BLOBS));
    for (const hash of blobsOf(history))
      await pipeline(blobs.getPieces(hash), createWriteStream(path.join(scratch, BLOBS, hash)));
    // With keys it is nobody else's: whoever has them is the host.
    closeSync(openSync(out, 'w', withKeys ? 0o600 : 0o666));
    if (withKeys) chmodSync(out, 0o600);
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

/** Makes a run of this folder of what was exported; it is resumed as any other. Everything is looked at before anything of it is kept. */
export async function importRun(file: string, options: ImportOptions, context: CommandContext): Promise<number> {
  const withKeys = options.withKeys === true;
  makeFolder(context.runs);
  // On the same disk, which has room for it, or nothing has.
  const scratch = mkdtempSync(path.join(context.runs, '.import-'));
  const unpacked = path.join(scratch, 'run');
  let unlock = (): void => {};
  try {
    mkdirSync(unpacked);
    const { hasKeys, others } = await unpackRun(file, unpacked, withKeys);
    const { job } = readRunFile(path.join(unpacked, 'run.yaml'));
    requireIdentity(unpacked, file);
    const read = readHistory(path.join(unpacked, HISTORY));
    // Whoever has no keys of the host is another host: who was let in before is nobody that this one knows.
    const history = withKeys && hasKeys ? read : withoutKeys(read);
    await verifyBlobs(path.join(unpacked, BLOBS), blobsOf(history));
    const made = createRunFolder(context.runs, job.name);
    const { folder, keptAs } = made;
    unlock = made.unlock;
    await takeOver(unpacked, folder, history, { run: job.name, asHost: withKeys && hasKeys });
    if (context.json)
      printJson({ run: job.name, folder, keptAs: keptAs ?? null, keys: withKeys && hasKeys, reads: placesOf(job) });
    else {
      if (keptAs !== undefined) print(`the earlier run is kept in ${path.relative('', keptAs)}`);
      if (hasKeys && !withKeys)
        print("The host's keys in the file were not imported. For a run of your own, use --with-keys.");
      if (others > 0) print(`${count(others, 'file')} that do not belong to a run were not imported.`);
      print(
        `Its run.yaml reads ${sanitized(placesOf(job).join(', '))}: the archive names these paths, so check them before you resume.`,
      );
      const isFinished = readJson<Summary>(path.join(folder, 'summary.json'))?.status === 'finished';
      const next = isFinished
        ? `It is finished: heliotrope status ${job.name}`
        : `To resume it: heliotrope train --resume ${job.name}, or serve --resume ${job.name}`;
      print(`${job.name} is in ${path.relative('', folder)}. ${next}`);
    }
  } finally {
    unlock();
    rmSync(scratch, { recursive: true, force: true });
  }
  return 0;
}

interface Taken {
  readonly run: string;
  /** With the host's keys. */
  readonly asHost: boolean;
}

async function takeOver(unpacked: string, folder: string, history: History, { run, asHost }: Taken): Promise<void> {
  for (const name of readdirSync(unpacked))
    if (name !== HISTORY) renameSync(path.join(unpacked, name), path.join(folder, name));
  const { store } = await openStores({ store: undefined, blobs: undefined }, folder, runIdentity(run, folder));
  await store.load(history);
  if (asHost) await takeReceipts(folder, store);
  await store.close();
  // Whoever wrote the archive may know the one that was.
  adminTokenOf(folder);
}

/** Every blob is read once: a damaged one is found now, and not in the middle of a run. */
async function verifyBlobs(folder: string, hashes: ReadonlySet<string>): Promise<void> {
  const blobs = new FileBlobs(folder);
  for (const hash of hashes) for await (const _ of blobs.getPieces(hash));
  for (const hash of await blobs.list()) if (!hashes.has(hash)) await blobs.delete(hash);
}

/** It is part of names that islands keep their own checkpoints under. */
function requireIdentity(folder: string, file: string): void {
  if (/^[0-9a-f]{8}\s*$/.test(readFileSync(path.join(folder, 'run.id'), 'utf8'))) return;
  throw new HelioError(
    'HELIO-3001',
    `${file} is not an exported run: its run.id is not valid.`,
    'Give a complete file that `heliotrope runs export` wrote.',
  );
}

/** What the run reads of the machine that hosts it. */
function placesOf({ data, model }: Job): readonly string[] {
  const base = model.base === undefined ? [] : [model.base];
  if ('paths' in data) return [...data.paths, ...base];
  if ('table' in data) return [...data.table, ...base];
  return [data.images, data.labels, ...base];
}
