import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSafetensors, openSafetensors, readSafetensors } from '../../../src/ml/tensor/safetensors.ts';
import { encodeSafetensors } from '../../../src/ml/tensor/safetensors-layout.ts';

const f32 = (shape: readonly number[], begin: number, end: number) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

const tensors = fc
  .dictionary(
    fc.string({ minLength: 1, maxLength: 12 }).filter((k) => k !== '__metadata__' && k !== '__proto__'),
    fc.array(fc.float({ noNaN: true }), { maxLength: 20 }),
    { maxKeys: 6 },
  )
  .map(
    (d) =>
      new Map(Object.entries(d).map(([name, list]) => [name, { shape: [list.length], data: Float32Array.from(list) }])),
  );

describe('safetensors', () => {
  it('gives back what was written', () => {
    fc.assert(
      fc.property(tensors, (written) => {
        const file = encodeSafetensors(written);
        expect(decodeSafetensors(file, 'f').tensors).toEqual(written);
        // A Buffer, as files are read into, shares its memory when it is sliced.
        expect(decodeSafetensors(Buffer.concat([Buffer.from('xxx'), file]).subarray(3), 'f').tensors).toEqual(written);
      }),
    );
  });

  it('is laid out as the format says', () => {
    const file = encodeSafetensors(new Map([['a', { shape: [1, 2], data: Float32Array.of(1, -2) }]]));
    const headerBytes = Number(new DataView(file.buffer).getBigUint64(0, true));
    expect(headerBytes % 8).toBe(0);
    expect(JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)))).toEqual({
      __metadata__: { format: 'pt' },
      a: { dtype: 'F32', shape: [1, 2], data_offsets: [0, 8] },
    });
    expect([...file.subarray(8 + headerBytes)]).toEqual([0, 0, 128, 63, 0, 0, 0, 192]);
  });

  it('refuses every truncation of a file and says so', () => {
    const file = encodeSafetensors(new Map([['a', { shape: [4], data: Float32Array.of(1, 2, 3, 4) }]]));
    for (let length = 0; length < file.length; length++) {
      expect(() => decodeSafetensors(file.subarray(0, length), 'w.safetensors')).toThrow(
        /w\.safetensors is not a whole safetensors file/,
      );
    }
  });

  it('never fails otherwise than with its own error on foreign bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeSafetensors(bytes, 'f');
        } catch (error) {
          expect(error).toMatchObject({ code: 'HELIO-3001' });
        }
      }),
    );
  });

  /** A file with a header of our choosing over `bytes` of zeros. */
  const withHeader = (header: unknown, bytes: number): Uint8Array => {
    const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
    const file = new Uint8Array(8 + json.length + bytes);
    new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
    file.set(json, 8);
    return file;
  };

  it.each([
    ['tensors that overlap', { a: f32([2], 0, 8), b: f32([2], 4, 12) }, /tensor b overlaps another/],
    ['a shape that is not its bytes', { a: f32([1000, 1000, 1000], 0, 8) }, /shape \[1000, 1000, 1000\] has 8 bytes/],
    ['a place beyond the file', { a: f32([1000], 0, 4000) }, /ends at byte \d+ of \d+/],
    ['another type', { a: { ...f32([1], 0, 8), dtype: 'C64' } }, /type C64, and only F32, F16, BF16, F64 are read/],
    ['a header that is a list', '[1]x', /header is not JSON/],
    ['a tensor that is nothing', { a: null }, /tensor a has type undefined/],
  ])('refuses %s', (_, header, message) => {
    expect(() => decodeSafetensors(withHeader(header, 12), 'f')).toThrow(message);
  });

  it('checks what a header claims against the size of the file before it reads anything of it', () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'heliotrope-safetensors-')), 'claims.safetensors');
    const claims = new Uint8Array(20);
    new DataView(claims.buffer).setBigUint64(0, 90_000_000n, true);
    writeFileSync(file, claims);
    const before = process.memoryUsage().arrayBuffers;
    expect(() => openSafetensors(file)).toThrow(/header says 90000000 bytes and the file has 20/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
  });

  it('rounds doubles', () => {
    const numbers = Float64Array.of(1 / 3, -2, 1e-40, 1e300);
    const file = withHeader({ a: { dtype: 'F64', shape: [4], data_offsets: [0, 32] } }, 32);
    file.set(new Uint8Array(numbers.buffer), file.length - 32);
    expect(readSafetensors(file, 'f').read('a')).toEqual(Float32Array.from(numbers));
  });

  it('widens halves of both kinds', () => {
    const file = withHeader(
      { a: { dtype: 'F16', shape: [2], data_offsets: [0, 4] }, b: { dtype: 'BF16', shape: [2], data_offsets: [4, 8] } },
      8,
    );
    const halves = new DataView(file.buffer, file.length - 8);
    [0x3c00, 0xc100, 0x3f80, 0xc020].forEach((bits, i) => {
      halves.setUint16(2 * i, bits, true);
    });
    const { tensors } = decodeSafetensors(file, 'f');
    expect([...tensors.get('a')!.data, ...tensors.get('b')!.data]).toEqual([1, -2.5, 1, -2.5]);
  });
});
