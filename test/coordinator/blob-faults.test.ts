import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../bench/chaos/fault-proxy.ts';
import { type BlobStore, hashOf, PIECE_BYTES } from '../../src/coordinator/store/blobs.ts';
import { FileBlobs } from '../../src/coordinator/store/file-blobs.ts';
import type { RetryPolicy } from '../../src/coordinator/store/retry.ts';
import { S3Blobs, s3Options } from '../../src/coordinator/store/s3-blobs.ts';

/** Blobs behind a real line that is harmed, and files of processes that were killed. */

interface S3Server {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}
const S3rver = createRequire(import.meta.url)('@20minutes/s3rver') as new (options: object) => S3Server;

const bytes = (length: number, salt = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7 + salt);
const scratch = mkdtempSync(path.join(tmpdir(), 'heliotrope-blob-faults-'));
let server: S3Server;
let port = 0;
let proxy: FaultProxy;
const heard: string[] = [];

beforeAll(async () => {
  const directory = path.join(scratch, 's3');
  mkdirSync(directory);
  const configureBuckets = [{ name: 'runs' }];
  server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets });
  port = (await server.run()).port;
});
afterAll(async () => {
  await server.close();
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(async () => {
  heard.length = 0;
  proxy = await FaultProxy.before(port);
});
afterEach(() => proxy.close());

const s3 = (retry: Partial<RetryPolicy> = {}): BlobStore =>
  new S3Blobs(
    s3Options('s3://runs/x', {
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${proxy.port}`,
    }),
    `r${Math.random()}`,
    { answerMs: 1_000, say: (sentence) => heard.push(sentence), ...retry },
  );

describe('an S3-compatible store', () => {
  it('that is away for seconds is waited for, which is said once and said again when it is over', async () => {
    const blobs = s3({ sayAfterMs: 300 });
    proxy.away();
    const put = blobs.put(hashOf(bytes(10)), bytes(10));
    await until(() => heard.length === 1);
    expect(heard[0]).toMatch(/^The blob store http.*has not answered for 0.3 s \(.+\); waiting up to 60 s\.$/);
    // Longer than five tries took.
    await sleep(4_000);
    proxy.mend();
    await put;
    expect(heard[1]).toMatch(/answers again/);
    expect(await blobs.get(hashOf(bytes(10)))).toEqual(bytes(10));
  });

  it('that takes connections and never answers is left after a while, and asked again', async () => {
    const blobs = s3({ sayAfterMs: 300 });
    await blobs.put(hashOf(bytes(10)), bytes(10));
    for (const act of [
      () => blobs.put(hashOf(bytes(11)), bytes(11)),
      () => blobs.get(hashOf(bytes(10))),
      () => blobs.list(),
    ]) {
      heard.length = 0;
      const before = proxy.connections;
      proxy.stall();
      const done = act();
      await until(() => proxy.connections > before && heard.length > 0);
      expect(heard[0]).toContain('has not answered');
      proxy.mend();
      await done;
    }
  });

  it('that stays away is given up after as long as was promised', async () => {
    proxy.stall();
    const startMs = performance.now();
    const blobs = s3({ forMs: 1_500, answerMs: 500 });
    await expect(blobs.put(hashOf(bytes(1)), bytes(1))).rejects.toMatchObject({
      code: 'HELIO-3006',
      what: expect.stringContaining('no answer for 0.5 s'),
    });
    expect(performance.now() - startMs).toBeGreaterThan(1_400);
  });

  it('of which half an answer came gives it whole', async () => {
    const blobs = s3();
    const large = bytes(3_000_000);
    await blobs.put(hashOf(large), large);
    for (const after of [100, 5_000, 1_000_000, 2_999_000]) {
      const before = proxy.sprung;
      proxy.cutAfter(after, 'down');
      expect(Buffer.compare(await blobs.get(hashOf(large)), large)).toBe(0);
      expect(proxy.sprung).toBe(before + 1);
    }
  });

  it('keeps a blob that was cut on its way there, or of which the answer was lost', async () => {
    const blobs = s3();
    const large = bytes(3_000_000, 1);
    for (const harm of [
      () => proxy.cutAfter(1_000_000, 'up'),
      () => proxy.loseAnswerTo('PUT'),
      () => proxy.loseRequest('PUT'),
    ]) {
      harm();
      await blobs.put(hashOf(large), large);
      expect(Buffer.compare(await blobs.get(hashOf(large)), large)).toBe(0);
    }
    expect(proxy.sprung).toBe(3);
    expect(await blobs.list()).toEqual([hashOf(large)]);
  });

  it('says within seconds whether it can be used', async () => {
    const blobs = s3();
    await blobs.ping();
    proxy.stall();
    await expect(blobs.ping()).rejects.toMatchObject({ code: 'HELIO-3006' });
    proxy.away();
    await expect(blobs.ping()).rejects.toMatchObject({ code: 'HELIO-3006' });
    proxy.mend();
    await blobs.ping();
  });

  it('takes what is larger than one request, and gives it back, over a line that breaks', async () => {
    const blobs = s3({ answerMs: 10_000 });
    const piece = bytes(PIECE_BYTES / 2 + 3);
    const pieces = Array.from({ length: 9 }, () => piece);
    const whole = Buffer.concat(pieces);
    const hash = hashOf(whole);
    for (const harm of [
      () => proxy.cutAfter(PIECE_BYTES, 'up'),
      () => proxy.loseAnswerTo('<CompleteMultipartUpload>'),
    ]) {
      const before = proxy.sprung;
      harm();
      await blobs.putPieces(hash, whole.length, pieces);
      expect(proxy.sprung).toBe(before + 1);
      proxy.cutAfter(PIECE_BYTES * 2, 'down');
      const back: Uint8Array[] = [];
      for await (const part of blobs.getPieces(hash)) {
        expect(part.length).toBeLessThanOrEqual(PIECE_BYTES);
        back.push(part);
      }
      expect(Buffer.compare(Buffer.concat(back), whole)).toBe(0);
      await blobs.delete(hash);
    }
  }, 120_000);
});

const STORES: readonly [string, () => BlobStore][] = [
  ['files', () => new FileBlobs(path.join(scratch, `blobs-${Math.random()}`))],
  ['an S3-compatible store', () => s3()],
];
describe.each(STORES)('pieces in %s', (_, open) => {
  async function* some(...lengths: readonly number[]): AsyncGenerator<Uint8Array> {
    for (const length of lengths) yield bytes(length);
  }
  const whole = Buffer.concat([bytes(5), bytes(0), bytes(70_000)]);

  it('are one blob, however they are cut', async () => {
    const blobs = open();
    await blobs.putPieces(hashOf(whole), whole.length, some(5, 0, 70_000));
    expect(Buffer.compare(await blobs.get(hashOf(whole)), whole)).toBe(0);
    await blobs.putPieces(hashOf(bytes(0)), 0, some());
    const empty: Uint8Array[] = [];
    for await (const piece of blobs.getPieces(hashOf(bytes(0)))) empty.push(piece);
    expect(empty).toEqual([]);
  });

  it('that are too many, too few or others leave nothing behind', async () => {
    const blobs = open();
    for (const pieces of [some(5, 0, 70_001), some(5, 0), some(5, 69_999, 1)]) {
      await expect(blobs.putPieces(hashOf(whole), whole.length, pieces)).rejects.toMatchObject({ code: 'HELIO-3001' });
    }
    expect(await blobs.list()).toEqual([]);
  });

  it('of a blob that is not there are said to be missing', async () => {
    const read = async (): Promise<void> => {
      for await (const _piece of open().getPieces(hashOf(whole))) throw new Error('there is a piece');
    };
    await expect(read()).rejects.toMatchObject({ code: 'HELIO-3001', what: expect.stringContaining('is missing') });
  });
});

describe('files that processes which were killed left half-written', () => {
  const folderOf = (name: string): string => path.join(scratch, name);

  it('are gone once the run is opened again, and those of a living process stay', async () => {
    const folder = folderOf('killed');
    const program = `
      const { FileBlobs } = await import(${JSON.stringify(path.resolve('src/coordinator/store/file-blobs.ts'))});
      async function* pieces() { for (;;) { yield new Uint8Array(1000); await new Promise((r) => setTimeout(r, 20)); } }
      await new FileBlobs(${JSON.stringify(folder)}).putPieces('a'.repeat(64), 1e9, pieces());
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const half = (): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);
    await until(() => half().length === 1);
    const blobs = new FileBlobs(folder);
    await blobs.tidy();
    expect(half()).toHaveLength(1);
    child.kill('SIGKILL');
    await ended;
    await blobs.put(hashOf(bytes(3)), bytes(3));
    await blobs.tidy();
    expect(half()).toEqual([hashOf(bytes(3))]);
  });

  it('count as such when another process has their number now, as the first in a container always has', async () => {
    const folder = folderOf('container');
    const blobs = new FileBlobs(folder);
    let own = '';
    async function* pieces(): AsyncGenerator<Uint8Array> {
      own = readdirSync(folder)[0]!;
      // The same host and process id, and started at another time.
      writeFileSync(path.join(folder, own.replace(/-\d+\.tmp$/, '-1234.tmp')), 'half');
      await blobs.tidy();
      yield bytes(3);
    }
    await blobs.putPieces(hashOf(bytes(3)), 3, pieces());
    expect(own).toMatch(/\.tmp$/);
    expect(readdirSync(folder)).toEqual([hashOf(bytes(3))]);
  });

  it('of other machines go when nobody has written to them for an hour', async () => {
    const folder = folderOf('elsewhere');
    mkdirSync(folder);
    const [young, old] = ['a', 'b'].map((letter) => path.join(folder, `${letter.repeat(64)}.00000000-7-5.tmp`));
    for (const file of [young!, old!]) writeFileSync(file, 'half');
    utimesSync(old!, Date.now() / 1000 - 4_000, Date.now() / 1000 - 4_000);
    await new FileBlobs(folder).tidy();
    expect(readdirSync(folder)).toEqual([path.basename(young!)]);
  });
});

describe('a folder of blobs that cannot be read or changed', () => {
  it('is an error, and never an empty folder', async () => {
    const file = path.join(scratch, 'a-file');
    writeFileSync(file, '');
    const blobs = new FileBlobs(file);
    await expect(blobs.list()).rejects.toMatchObject({ code: 'HELIO-3004', what: expect.stringContaining('list') });
    await expect(blobs.delete(hashOf(bytes(1)))).rejects.toMatchObject({ what: expect.stringContaining('delete') });
    await expect(blobs.tidy()).rejects.toMatchObject({ code: 'HELIO-3004' });
    await expect(new FileBlobs(path.join(file, 'blobs')).ping()).resolves.toBeUndefined();
    await expect(new FileBlobs(path.join(scratch, 'gone', 'blobs')).ping()).rejects.toMatchObject({
      code: 'HELIO-3004',
    });
  });
});

async function until(condition: () => boolean, ms = 30_000): Promise<void> {
  const startMs = performance.now();
  while (!condition()) {
    if (performance.now() - startMs > ms) throw new Error('waited in vain');
    await sleep(10);
  }
}
