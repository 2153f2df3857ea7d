import { type Codec, notFinite } from './codec.ts';

/** Codecs that treat each number alone; all little-endian. */

/** IEEE 754 singles: exact. */
export const f32: Codec = {
  name: 'f32',
  encodedBytes: (elements) => 4 * elements,
  encode: (values) => {
    refuseNonFinite(values);
    return new Uint8Array(values.slice().buffer);
  },
  decode: (bytes) => new Float32Array(new Uint8Array(bytes).buffer),
};

/** IEEE 754 halves, to the nearest, ties to even; magnitudes from 65,520 on are refused. */
export const f16: Codec = {
  name: 'f16',
  encodedBytes: (elements) => 2 * elements,
  encode: (values) => {
    const halves = new Float16Array(values);
    for (let i = 0; i < halves.length; i++) if (!Number.isFinite(halves[i])) throw notFinite(values[i]!);
    return new Uint8Array(halves.buffer);
  },
  decode: (bytes) => new Float32Array(new Float16Array(new Uint8Array(bytes).buffer)),
};

/** The upper half of a single, to the nearest, ties to even. */
export const bf16: Codec = {
  name: 'bf16',
  encodedBytes: (elements) => 2 * elements,
  encode: (values) => {
    refuseNonFinite(values);
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const codes = new Uint16Array(values.length);
    for (let i = 0; i < codes.length; i++) {
      const b = bits[i]!;
      codes[i] = (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
      // The largest singles would round up to infinity: they stay finite.
      if ((codes[i]! & 0x7f80) === 0x7f80) codes[i] = (b >>> 16) & 0xffff;
    }
    return new Uint8Array(codes.buffer);
  },
  decode: (bytes) => {
    const codes = new Uint16Array(new Uint8Array(bytes).buffer);
    const bits = new Uint32Array(codes.length);
    for (let i = 0; i < codes.length; i++) bits[i] = codes[i]! << 16;
    return new Float32Array(bits.buffer);
  },
};

function refuseNonFinite(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) throw notFinite(values[i]!);
}
