import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeSafetensors, openSafetensors } from '../../../src/ml/tensor/safetensors.ts';
import {
  encodeSafetensors,
  layOutSafetensors,
  type StoredTensor,
  writeSafetensors,
} from '../../../src/ml/tensor/safetensors-layout.ts';
import { inMemory, joinArrays, LazyArrays, lazySources, sourceOf } from '../../../src/ml/tensor/tensor-source.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-layout-'));
const file = path.join(folder, 'f.safetensors');
afterEach(() => {
  for (const name of readdirSync(folder)) rmSync(path.join(folder, name));
});

const tensors = fc
  .array(fc.array(fc.float({ noNaN: true }), { maxLength: 20 }), { maxLength: 6 })
  .map((lists) => new Map(lists.map((list, i) => [`t${i}`, { shape: [list.length], data: Float32Array.from(list) }])));

const sources = (stored: ReadonlyMap<string, StoredTensor>) =>
  new Map([...stored].map(([name, { shape, data }]) => [name, inMemory(shape, data)]));

/** The format's own words, whole in memory: 8 bytes of length, the header padded to 8 with spaces, then all tensors. */
function whole(stored: ReadonlyMap<string, StoredTensor>, metadata: Record<string, string>): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of stored) {
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...[...stored.values()].map(({ data }) => Buffer.from(data.buffer))]);
}

describe('a safetensors file that is made piece by piece', () => {
  it('has the bytes of one that is made whole, as a file, in one array, and in any part', () => {
    fc.assert(
      fc.property(tensors, fc.nat(), fc.nat(), (stored, a, b) => {
        const expected = whole(stored, { of: 'a test' });
        writeSafetensors(file, sources(stored), { of: 'a test' });
        expect(readFileSync(file)).toEqual(expected);
        expect(Buffer.from(encodeSafetensors(stored, { of: 'a test' }))).toEqual(expected);
        const layout = layOutSafetensors(sources(stored), { of: 'a test' });
        expect(layout.length).toBe(expected.length);
        expect(Buffer.concat([...layout.pieces()])).toEqual(expected);
        const [begin, end] = [a % (expected.length + 1), b % (expected.length + 9)].toSorted((x, y) => x - y);
        expect(Buffer.from(layout.subarray(begin!, end!))).toEqual(expected.subarray(begin, end));
      }),
    );
  });

  it('is read tensor by tensor, and any part of a tensor, with the numbers of reading it whole', () => {
    fc.assert(
      fc.property(tensors, fc.nat(), fc.nat(), (stored, a, b) => {
        writeSafetensors(file, sources(stored));
        const opened = openSafetensors(file);
        const { tensors: decoded } = decodeSafetensors(readFileSync(file), file);
        expect(new Map(new LazyArrays(opened.tensors))).toEqual(
          new Map([...decoded].map(([name, { data }]) => [name, data])),
        );
        for (const [name, { data }] of stored) {
          const [begin, end] = [a % (data.length + 1), b % (data.length + 1)].toSorted((x, y) => x - y);
          expect(opened.tensors.get(name)!.read(begin!, end!)).toEqual(data.subarray(begin, end));
        }
        opened.close();
      }),
    );
  });

  it('widens halves of any part alike', () => {
    const header = JSON.stringify({
      a: { dtype: 'F16', shape: [3], data_offsets: [0, 6] },
      b: { dtype: 'BF16', shape: [2], data_offsets: [6, 10] },
    });
    const bytes = Buffer.alloc(8 + header.length + 10);
    bytes.writeBigUInt64LE(BigInt(header.length));
    bytes.write(header, 8);
    [0x3c00, 0xc100, 0x0001, 0x3f80, 0xc020].forEach((bits, i) => {
      bytes.writeUInt16LE(bits, 8 + header.length + 2 * i);
    });
    writeFileSync(file, bytes);
    const opened = openSafetensors(file);
    expect([...opened.tensors.get('a')!.read(1, 3)]).toEqual([-2.5, 2 ** -24]);
    expect([...opened.tensors.get('b')!.read(1, 2)]).toEqual([-2.5]);
    opened.close();
  });

  it('is not there at all when a tensor cannot be read in the middle of it', () => {
    const broken = { shape: [2], read: () => { throw new Error('the disk is gone'); } }; // biome-ignore format: one line
    expect(() =>
      writeSafetensors(
        file,
        new Map([
          ['a', inMemory([1], Float32Array.of(1))],
          ['b', broken],
        ]),
      ),
    ).toThrow(/the disk is gone/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['metadata that are no texts', { __metadata__: { a: 1 } }],
    ['metadata that are nothing', { __metadata__: null }],
    ['the type "constructor"', { a: { dtype: 'constructor', shape: [], data_offsets: [0, 0] } }],
    [
      'a shape whose product is beyond every number',
      { a: { dtype: 'F32', shape: Array(16).fill(2 ** 50), data_offsets: [0, 0] } },
    ],
  ])('refuses %s', (_, header) => {
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    expect(() => decodeSafetensors(Buffer.concat([length, json]), 'f')).toThrow(/not a whole safetensors file/);
  });
});

describe('arrays that are read when they are asked for', () => {
  const one = () => Float32Array.of(1, 2);

  it('are made once for all parts of a reading, and again for the next one', () => {
    let made = 0;
    const lazy = lazySources();
    const a = lazy([2], () => {
      made++;
      return one();
    });
    const b = lazy([1], () => Float32Array.of(3));
    expect([...a.read(0, 1), ...a.read(1, 2)]).toEqual([1, 2]);
    expect(made).toBe(1);
    expect([...b.read(0, 1), ...a.read(0, 2)]).toEqual([3, 1, 2]);
    expect(made).toBe(2);
  });

  it('are joined as maps are, and keep a shape that somebody knows', () => {
    const earlier = new LazyArrays(
      new Map([
        ['a', inMemory([2], one())],
        ['b', inMemory([1], Float32Array.of(5))],
      ]),
    );
    const joined = joinArrays(earlier, new Map([['b', Float32Array.of(6)]]));
    expect(new Map(joined)).toEqual(
      new Map([
        ['a', one()],
        ['b', Float32Array.of(6)],
      ]),
    );
    expect([joined.size, joined.has('b'), joined.has('c'), joined.get('c')]).toEqual([2, true, false, undefined]);
    expect(sourceOf(joined, 'b', [1, 1]).shape).toEqual([1, 1]);
  });
});
