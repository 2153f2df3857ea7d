import { BLOCK, blockMaximum, blocksOf, type Codec, scalesAndCodes } from './codec.ts';

/** Codecs that scale blocks of 256 numbers by their largest magnitude. A block of zeros comes back as zeros. */

/** Signed bytes, round(127 x / max), ties away from zero; error at most max / 254 in a block. */
export const int8: Codec = {
  name: 'int8',
  encodedBytes: (elements) => 4 * blocksOf(elements) + elements,
  encode: (values) =>
    encodeBlocks(int8.encodedBytes(values.length), values, 127, (codes, i, quotient) => {
      codes[i] = roundAway(quotient);
    }),
  decode: (bytes, elements) => decodeBlocks(bytes, elements, 127, (codes, i) => (codes[i]! << 24) >> 24),
};

/** Nibbles 8 + round(7 x / max), the even element low; error at most max / 14 in a block. */
export const int4: Codec = {
  name: 'int4',
  encodedBytes: (elements) => 4 * blocksOf(elements) + Math.ceil(elements / 2),
  encode: (values) =>
    encodeBlocks(int4.encodedBytes(values.length), values, 7, (codes, i, quotient) => {
      codes[i >> 1]! |= (8 + roundAway(quotient)) << (4 * (i & 1));
    }),
  decode: (bytes, elements) => decodeBlocks(bytes, elements, 7, (codes, i) => nibble(codes, i) - 8),
};

/**
 * E3M0 (Streaming DiLoCo, arXiv 2501.18512, section 2.3): a sign and three bits of exponent. Code 0 is zero, code
 * c = 1…7 is max · 2^(c − 7); the nearest one is taken, ties away from zero. The sign is the nibble's highest bit.
 */
export const e3m0: Codec = {
  name: 'e3m0',
  encodedBytes: int4.encodedBytes,
  encode: (values) =>
    encodeBlocks(e3m0.encodedBytes(values.length), values, 1, (codes, i, quotient) => {
      BITS.setFloat32(0, Math.abs(quotient));
      // Half a mantissa more carries into the exponent from 1.5 · 2^k on: the nearest power of two.
      const exponent = ((BITS.getUint32(0) + 0x400000) >>> 23) - 127;
      const code = Math.abs(quotient) < 2 ** -7 ? 0 : Math.max(1, exponent + 7);
      if (code > 0) codes[i >> 1]! |= (code | (quotient < 0 ? 8 : 0)) << (4 * (i & 1));
    }),
  decode: (bytes, elements) => decodeBlocks(bytes, elements, 1, (codes, i) => E3M0_VALUES[nibble(codes, i)]!),
};

const BITS = new DataView(new ArrayBuffer(4));
const E3M0_VALUES = Float32Array.from({ length: 16 }, (_, nibbleValue) => {
  const code = nibbleValue & 7;
  return code === 0 ? 0 : (nibbleValue & 8 ? -1 : 1) * 2 ** (code - 7);
});

const nibble = (codes: Uint8Array, i: number): number => (codes[i >> 1]! >> (4 * (i & 1))) & 15;

const roundAway = (x: number): number => (x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5));

function encodeBlocks(
  size: number,
  values: Float32Array,
  steps: number,
  put: (codes: Uint8Array, i: number, quotient: number) => void,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  const { scales, codes } = scalesAndCodes(bytes, values.length);
  for (let block = 0; block < blocksOf(values.length); block++) {
    const scale = Math.fround(blockMaximum(values, block) / steps);
    scales.setFloat32(4 * block, scale, true);
    const end = Math.min(values.length, (block + 1) * BLOCK);
    for (let i = block * BLOCK; i < end; i++) {
      const quotient = scale === 0 ? 0 : values[i]! / scale;
      // A scale that was rounded down (or is denormal) must not push a code out of its range.
      put(codes, i, Math.max(-steps, Math.min(steps, quotient)));
    }
  }
  return bytes;
}

function decodeBlocks(
  bytes: Uint8Array,
  elements: number,
  steps: number,
  codeOf: (codes: Uint8Array, i: number) => number,
): Float32Array {
  const { scales, codes } = scalesAndCodes(bytes, elements);
  const values = new Float32Array(elements);
  for (let block = 0; block < blocksOf(elements); block++) {
    const scale = scales.getFloat32(4 * block, true);
    const end = Math.min(elements, (block + 1) * BLOCK);
    for (let i = block * BLOCK; i < end; i++) values[i] = scale * Math.max(-steps, codeOf(codes, i));
  }
  return values;
}
