import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BlobStore, hashOf } from '../../src/coordinator/store/blobs.ts';
import { FileBlobs } from '../../src/coordinator/store/file-blobs.ts';
import { S3Blobs, s3Options } from '../../src/coordinator/store/s3-blobs.ts';

interface S3Server {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}
const S3rver = createRequire(import.meta.url)('@20minutes/s3rver') as new (options: object) => S3Server;
const scratch = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-blobs-'));

let server: S3Server;
let endpoint = '';
const folder = scratch();
beforeAll(async () => {
  const configureBuckets = [{ name: 'runs' }];
  server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: folder, configureBuckets });
  endpoint = `http://127.0.0.1:${(await server.run()).port}`;
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const KEYS = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };
const s3 = (change: NodeJS.ProcessEnv = {}, url = 's3://runs/some/prefix', run = `r${Math.random()}`) =>
  new S3Blobs(s3Options(url, { ...KEYS, AWS_ENDPOINT_URL: endpoint, ...change }), run, { forMs: 1_000 });
const STORES: readonly [string, () => BlobStore][] = [
  ['files', () => new FileBlobs(path.join(scratch(), 'blobs'))],
  ['an S3-compatible store', () => s3()],
];
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7);

describe.each(STORES)('blobs in %s', (_, open) => {
  it('are what was put, of any size, and listed by their hashes', async () => {
    const blobs = open();
    expect(await blobs.list()).toEqual([]);
    for (const length of [0, 1, 5_000_000]) await blobs.put(hashOf(bytes(length)), bytes(length));
    await blobs.put(hashOf(bytes(1)), bytes(1));
    for (const length of [0, 1, 5_000_000])
      expect(Buffer.compare(await blobs.get(hashOf(bytes(length))), bytes(length))).toBe(0);
    expect((await blobs.list()).toSorted()).toEqual([0, 1, 5_000_000].map((n) => hashOf(bytes(n))).toSorted());
  });

  it('are gone when they were deleted, and may be deleted twice', async () => {
    const blobs = open();
    const hash = hashOf(bytes(10));
    await blobs.put(hash, bytes(10));
    for (let i = 0; i < 2; i++) await blobs.delete(hash);
    expect(await blobs.list()).toEqual([]);
    await expect(blobs.get(hash)).rejects.toMatchObject({ code: expect.stringMatching(/HELIO-3001|HELIO-3006/) });
  });
});

describe('damaged blobs', () => {
  it('are never taken for what they were', async () => {
    const place = scratch();
    const blobs = new FileBlobs(place);
    const hash = hashOf(bytes(100));
    await blobs.put(hash, bytes(100));
    truncateSync(path.join(place, hash), 50);
    await expect(blobs.get(hash)).rejects.toMatchObject({
      code: 'HELIO-3001',
      what: expect.stringContaining('is damaged'),
    });
    writeFileSync(path.join(place, `${hash}.123.tmp`), 'half');
    expect(await blobs.list()).toEqual([hash]);
    expect(readdirSync(place)).toHaveLength(2);
  });
});

describe('an S3-compatible store', () => {
  it('keeps runs apart', async () => {
    const [a, b] = [s3({}, 's3://runs/x', 'a'), s3({}, 's3://runs/x', 'b')];
    await a.put(hashOf(bytes(3)), bytes(3));
    expect([await a.list(), await b.list()]).toEqual([[hashOf(bytes(3))], []]);
  });

  it('that has no such bucket, does not know the keys, or is not there, says so', async () => {
    const put = (blobs: BlobStore) => blobs.put(hashOf(bytes(3)), bytes(3));
    await expect(put(s3({}, 's3://elsewhere'))).rejects.toMatchObject({
      code: 'HELIO-3006',
      what: expect.stringContaining('404'),
    });
    await expect(put(s3({ AWS_SECRET_ACCESS_KEY: 'wrong' }))).rejects.toMatchObject({
      what: expect.stringContaining('403'),
    });
    await expect(put(s3({ AWS_ENDPOINT_URL: 'http://127.0.0.1:9' }))).rejects.toMatchObject({ code: 'HELIO-3006' });
    expect(() => s3({ AWS_ACCESS_KEY_ID: '' })).toThrow(/AWS_ACCESS_KEY_ID/);
  }, 30_000);
});
