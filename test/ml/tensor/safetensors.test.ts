import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSafetensors, encodeSafetensors } from '../../../src/ml/tensor/safetensors.ts';

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
});
