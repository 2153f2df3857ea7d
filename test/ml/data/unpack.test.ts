import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, describe, expect, it } from 'vitest';
import { openFiles, openWhole } from '../../../src/ml/data/corpus.ts';
import { filesOf } from '../../../src/ml/data/corpus-files.ts';
import { boundedCompressors } from '../../../src/ml/data/parquet.ts';
import { readRows } from '../../../src/ml/data/table.ts';
import { unpackFiles } from '../../../src/ml/data/unpack.ts';

const home = mkdtempSync(path.join(tmpdir(), 'heliotrope-unpack-'));
afterAll(() => rmSync(home, { recursive: true }));
const file = (name: string, content: string | Uint8Array): string => {
  mkdirSync(path.dirname(path.join(home, name)), { recursive: true });
  writeFileSync(path.join(home, name), content);
  return path.join(home, name);
};
const cache = path.join(home, 'unpacked');
const unpack = (files: readonly string[], field?: string, mostTimes?: number) =>
  unpackFiles(files, { folder: cache, field, ...(mostTimes === undefined ? {} : { mostTimes }) });
const textsOf = async (files: readonly string[], field?: string) =>
  [...openWhole(await unpack(files, field), field).documents()].map(({ text }) => text);

const documents = Array.from({ length: 500 }, (_, i) => `document ${i}, été ${'.'.repeat(i % 7)}`);
const lines = `${documents.map((text) => JSON.stringify({ text })).join('\n')}\n`;
const parquet = (columns: object, rowGroupSize = 100, codec: 'SNAPPY' | 'UNCOMPRESSED' = 'SNAPPY'): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: Object.entries(columns).map(([name, data]) => ({ name, data })),
      rowGroupSize,
      codec,
    }),
  );

const SKIPPED = Buffer.of(0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
const CHECKED = (text: string): Buffer => zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

describe('packed corpora', () => {
  it.each([
    ['gzip', () => file('a.jsonl.gz', gzipSync(lines))],
    [
      'gzip of several members',
      () => file('m.jsonl.gz', Buffer.concat([gzipSync(lines.slice(0, 999)), gzipSync(lines.slice(999))])),
    ],
    ['Zstandard', () => file('a.jsonl.zst', zstdCompressSync(lines))],
    [
      'Zstandard of several frames',
      () =>
        file('m.jsonl.zst', Buffer.concat([zstdCompressSync(lines.slice(0, 999)), zstdCompressSync(lines.slice(999))])),
    ],
    [
      'Zstandard with what holds no data in between, and a checksum',
      () =>
        file('s.jsonl.zst', Buffer.concat([SKIPPED, CHECKED(lines.slice(0, 999)), SKIPPED, CHECKED(lines.slice(999))])),
    ],
    ['lines that are called .json', () => file('c4.json.gz', gzipSync(lines))],
    [
      'Parquet of several row groups',
      () => file('a.parquet', parquet({ id: documents.map((_, i) => i), text: documents })),
    ],
  ])('are the same documents as %s', async (_, make) => {
    expect(await textsOf([make()])).toEqual(documents);
  });

  it('of one text each are texts', async () => {
    const places = [file('b.txt.gz', gzipSync('a text\nin two lines')), file('c.md.zst', zstdCompressSync('another'))];
    expect(await textsOf(places)).toEqual(['a text\nin two lines', 'another']);
  });

  it('are split and dealt out as the plain file is', async () => {
    const [plain] = await unpack([file('plain.jsonl', lines)]);
    const [packed] = await unpack([file('packed.jsonl.zst', zstdCompressSync(lines))]);
    const all = [plain!, packed!].map((place) => {
      const corpus = openFiles([place], 0.1);
      return [corpus.validation, ...[0, 1, 2].map((i) => corpus.shard(i, 3))].map((p) =>
        [...p.documents()].map((d) => d.text),
      );
    });
    expect(all[1]).toEqual(all[0]);
    expect(all[0]!.flat().sort()).toEqual(documents.toSorted());
  });

  it('are read by the column that the run names, or by prompt and completion', async () => {
    const named = file('named.parquet', parquet({ content: ['one', null, 'two'], text: ['x', 'y', 'z'] }));
    expect(await textsOf([named], 'content')).toEqual(['one', 'two']);
    expect(await textsOf([named])).toEqual(['x', 'y', 'z']);
    const asked = file('asked.parquet', parquet({ prompt: ['q1', 'q2'], completion: ['a1', 'a2'] }));
    const [first] = openWhole(await unpack([asked])).documents();
    expect(first).toEqual({ source: `${asked}:1`, prompt: 'q1', text: 'a1' });
    const none = file('none.parquet', parquet({ body: ['one'] }));
    await expect(unpack([none])).rejects.toThrow(/no column text, prompt, completion; it has body \(data\.field/);
  });

  it('are called in messages what the user called them', async () => {
    const bad = file('bad.jsonl.gz', gzipSync('{"text": "a"}\nnope\n'));
    await expect(textsOf([bad])).rejects.toThrow(`${bad}:2 is not JSON`);
    const latin = file('latin.txt.gz', gzipSync(Buffer.of(0x63, 0x61, 0x66, 0xe9)));
    await expect(textsOf([latin])).rejects.toThrow(`${latin} is not UTF-8: it looks like Latin-1`);
  });

  it('are found in a folder', () => {
    for (const name of ['f/a.jsonl.gz', 'f/b/c.txt.zst', 'f/d.parquet', 'f/e.jsonl', 'f/g.bin.gz']) file(name, 'x');
    const found = filesOf('f', home).map((each) => path.relative(home, each));
    expect(found).toEqual(
      ['f/a.jsonl.gz', 'f/b/c.txt.zst', 'f/d.parquet', 'f/e.jsonl'].map((name) => path.normalize(name)),
    );
  });

  it('are unpacked once, again when they have changed, and forgotten after a month', async () => {
    const place = file('once.txt.gz', gzipSync('first'));
    const [one] = await unpack([place]);
    const written = statSync(one!.file).ino;
    expect((await unpack([place]))[0]).toEqual(one);
    expect(statSync(one!.file).ino).toBe(written);
    utimesSync(one!.file, new Date(0), new Date(0));
    file('once.txt.gz', gzipSync('second, and longer'));
    const [two] = await unpack([place]);
    expect(readFileSync(two!.file, 'utf8')).toBe('second, and longer');
    expect(readdirSync(cache)).not.toContain(path.basename(one!.file));
    expect(readdirSync(cache).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('what is hostile or damaged', () => {
  const noise = randomBytes(5_000);
  it.each([
    ['a gzip that is none', () => file('x.txt.gz', noise), /x\.txt\.gz cannot be unpacked as gzip: incorrect header/],
    [
      'a gzip that is cut short',
      () => file('cut.txt.gz', gzipSync(noise).subarray(0, 3_000)),
      /unexpected end of file/,
    ],
    ['a Zstandard file that is none', () => file('x.txt.zst', noise), /x\.txt\.zst cannot be unpacked as Zstandard/],
    [
      'a Zstandard file that is cut short',
      () => file('cut.txt.zst', zstdCompressSync(noise).subarray(0, 3_000)),
      /cut\.txt\.zst cannot be unpacked/,
    ],
    ['a Parquet file that is none', () => file('x.parquet', noise), /x\.parquet cannot be unpacked as Parquet/],
    [
      'a Parquet file that is cut short',
      () => file('cut.parquet', parquet({ text: documents }).subarray(0, 2_000)),
      /cannot be unpacked/,
    ],
    ['what is not there', () => path.join(home, 'gone.txt.gz'), /gone\.txt\.gz is no file/],
  ])('is refused, and leaves nothing behind: %s', async (_, make, message) => {
    await expect(unpack([make()])).rejects.toThrow(message);
    expect(readdirSync(cache).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('does not fill the disk: a file that unpacks to more than text does is stopped on its way', async () => {
    const zeroes = new Uint8Array(100 * 2 ** 20);
    for (const bomb of [file('bomb.txt.gz', gzipSync(zeroes)), file('bomb.txt.zst', zstdCompressSync(zeroes))]) {
      await expect(unpack([bomb])).rejects.toThrow(/unpacks to more than 64 MiB, far more/);
      expect(readdirSync(cache).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    }
  });

  it('makes no page larger than its bound, whatever a header claims, in texts and in tables', async () => {
    const bounded = boundedCompressors(1_000);
    const input = new Uint8Array(gzipSync(new Uint8Array(900)));
    expect(bounded.GZIP!(input, 900)).toHaveLength(900);
    expect(() => bounded.GZIP!(input, 900)).toThrow(/unpacks to more than/);
    expect(() => boundedCompressors().ZSTD!(new Uint8Array(zstdCompressSync(new Uint8Array(4_000))), 100)).toThrow();
    expect(() => boundedCompressors().SNAPPY!(new Uint8Array(8), 2 ** 31)).toThrow(/unpacks to more than/);
    expect(() => boundedCompressors().SNAPPY!(new Uint8Array(8), -1)).toThrow(/unpacks to more than/);
    const table = file('table.parquet', parquet({ x: [1, 2, 3] }));
    expect(await readRows([table])).toEqual([{ x: 1 }, { x: 2 }, { x: 3 }]);
  });

  /** A file of seven rows whose footer claims 2^40 where it says seven for the `which`-th time: in all, of its column, of its group. */
  const claiming = (columns: object, which: number): Uint8Array => {
    const whole = Buffer.from(parquet(columns));
    const end = whole.length - 8;
    const footer = end - whole.readUInt32LE(end);
    // An i64 field of Thrift's compact protocol, whose number is one more than that of the field before: 7 as zigzag is 14.
    let at = footer - 1;
    for (let i = 0; i < which; i++) at = whole.indexOf(Buffer.of(0x16, 14), at + 1);
    expect(at).toBeGreaterThanOrEqual(footer);
    const claim = Buffer.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x40);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(end - footer + claim.length - 1);
    return Buffer.concat([whole.subarray(0, at + 1), claim, whole.subarray(at + 2, end), length, Buffer.from('PAR1')]);
  };
  const seven = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

  it.each([
    ['values of a column', 2, `its row group 0 has 7 rows, ${2 ** 40} values in a column`],
    ['rows of a group', 3, `its row group 0 has ${2 ** 40} rows, 7 values in a column`],
  ])('is refused before anything is allocated where a Parquet file claims any number of %s', async (_, which, what) => {
    const texts = file('claims.parquet', claiming({ text: seven }, which));
    await expect(unpack([texts])).rejects.toThrow(what);
    const table = file('claims-table.parquet', claiming({ x: seven }, which));
    await expect(readRows([table])).rejects.toThrow(what);
    await expect(readRows([table])).rejects.toThrow('write it with smaller row groups');
  });

  it('is refused or read, and never more, for any change of a byte of a Parquet file', async () => {
    const whole = parquet({ text: documents.slice(0, 20) }, 10);
    for (let i = 0; i < 60; i++) {
      const [place, value] = createHash('sha256').update(`${i}`).digest();
      const changed = whole.slice();
      // The footer and headers are where sizes are claimed.
      const at = i % 2 === 0 ? changed.length - 1 - (place! % 200) : place! % changed.length;
      changed[at] = value!;
      const outcome = await unpack([file(`changed-${i}.parquet`, changed)]).then(
        () => 'read',
        (error: { code?: string }) => error.code,
      );
      expect(['read', 'HELIO-1003']).toContain(outcome);
    }
  });
});
