import path from 'node:path';
import type { BlobStore } from '../coordinator/store/blobs.ts';
import { FileBlobs } from '../coordinator/store/file-blobs.ts';
import { openPostgres } from '../coordinator/store/postgres.ts';
import type { RetryPolicy } from '../coordinator/store/retry.ts';
import type { RunStore } from '../coordinator/store/run-store.ts';
import { S3Blobs, s3Options } from '../coordinator/store/s3-blobs.ts';
import { SqlRunStore } from '../coordinator/store/sql-store.ts';
import { openSqlite } from '../coordinator/store/sqlite.ts';
import { HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { readJson } from './run-folder.ts';

/** A run's stores. Where none is named, it is in the run's own folder. */
export interface StorePlaces {
  readonly store: string | undefined;
  readonly blobs: string | undefined;
}

/**
 * Opens a run's stores: as named, or as they were named when the run began.
 *
 * @param retry how long they are waited for, and who hears of it
 * @throws HelioError HELIO-1006 when a place is of no known kind, HELIO-3001 to 3006 when it cannot be used
 */
export async function openStores(
  named: StorePlaces,
  folder: string,
  run: string,
  retry: Partial<RetryPolicy> = {},
): Promise<{ readonly store: RunStore; readonly blobs: BlobStore }> {
  const file = path.join(folder, 'stores.json');
  const known = readJson<StorePlaces>(file);
  const places = { store: named.store ?? known?.store, blobs: named.blobs ?? known?.blobs };
  const blobs = openBlobs(places.blobs, folder, run, retry);
  const store = await openStore(places.store, folder, run, retry);
  // The run is this process's now. What others left half-written costs room, and is no reason not to begin.
  await blobs
    .tidy()
    .catch((error: Error) => retry.say?.(`What was left half-written could not be removed: ${error.message}`));
  // A password belongs into the environment (PGPASSWORD), and not into a file.
  if (places.store !== undefined || places.blobs !== undefined)
    writeWhole(file, `${JSON.stringify({ ...places, store: withoutPassword(places.store) }, null, 2)}\n`);
  return { store, blobs };
}

async function openStore(
  place: string | undefined,
  folder: string,
  run: string,
  retry: Partial<RetryPolicy>,
): Promise<RunStore> {
  if (place === undefined) return SqlRunStore.open(openSqlite(path.join(folder, 'run.sqlite')), run);
  if (/^postgres(ql)?:\/\//.test(place) && URL.canParse(place))
    return SqlRunStore.open(await openPostgres(place, run, retry), run);
  throw new HelioError(
    'HELIO-1006',
    `--store ${place} is no address of a database.`,
    'Give postgres://USER@HOST:PORT/DATABASE, or leave it out for one in the run’s folder.',
  );
}

function openBlobs(place: string | undefined, folder: string, run: string, retry: Partial<RetryPolicy>): BlobStore {
  if (place === undefined) return new FileBlobs(path.join(folder, 'blobs'));
  if (place.startsWith('s3://') && URL.canParse(place)) return new S3Blobs(s3Options(place, process.env), run, retry);
  throw new HelioError(
    'HELIO-1006',
    `--blobs ${place} is no address of a blob store.`,
    'Give s3://BUCKET/PREFIX, or leave it out for files in the run’s folder.',
  );
}

function withoutPassword(place: string | undefined): string | undefined {
  if (place === undefined) return undefined;
  const url = new URL(place);
  url.password = '';
  return url.href;
}
