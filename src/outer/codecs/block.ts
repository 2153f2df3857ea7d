import { BLOCK, blockMaximum, blocksOf, type Codec, scalesAndCodes } from './codec.ts';

/**
 * Codecs that scale blocks of 256 numbers by their largest magnitude. A block of zeros comes back as zeros. The loops
 * are written out and not shared through callbacks: they run over millions of numbers while islands wait.
 */

/** Signed bytes, round(127 x / max), ties away from zero; error at most max / 254 in a block. */
export const int8: Codec = {
  name: 'int8',
  encodedBytes: (elements) => 4 * blocksOf(elements) + elements,
  encode(values) {
    const bytes = new Uint8Array(int8.encodedBytes(values.length));
    const { scales, codes } = scalesAndCodes(bytes, values.length);
    for (let block = 0; block < blocksOf(values.length); block++) {
      const inverse = writeScale(scales, block, values, 127);
      const end = endOf(block, values.length);
      for (let i = block * BLOCK; i < end; i++) codes[i] = clampedRound(values[i]! * inverse, 127);
    }
    return bytes;
  },
  decode(bytes, elements) {
    const { scales, codes } = scalesAndCodes(bytes, elements);
    const values = new Float32Array(elements);
    for (let block = 0; block < blocksOf(elements); block++) {
      const scale = scales.getFloat32(4 * block, true);
      const end = endOf(block, elements);
      for (let i = block * BLOCK; i < end; i++) values[i] = scale * ((codes[i]! << 24) >> 24);
    }
    return values;
  },
};

/** Nibbles 8 + round(7 x / max), the even element low; error at most max / 14 in a block. */
export const int4: Codec = {
  name: 'int4',
  encodedBytes: (elements) => 4 * blocksOf(elements) + Math.ceil(elements / 2),
  encode(values) {
    const bytes = new Uint8Array(int4.encodedBytes(values.length));
    const { scales, codes } = scalesAndCodes(bytes, values.length);
    for (let block = 0; block < blocksOf(values.length); block++) {
      const inverse = writeScale(scales, block, values, 7);
      const end = endOf(block, values.length);
      for (let i = block * BLOCK; i < end; i++) {
        codes[i >> 1]! |= (8 + clampedRound(values[i]! * inverse, 7)) << (4 * (i & 1));
      }
    }
    return bytes;
  },
  decode: (bytes, elements) => decodeNibbles(bytes, elements, INT4_VALUES),
};

/**
 * E3M0 (Streaming DiLoCo, arXiv 2501.18512, section 2.3): a sign and three bits of exponent. Code 0 is zero, code
 * c = 1…7 is max · 2^(c − 7); the nearest one is taken, ties away from zero. The sign is the nibble's highest bit.
 */
export const e3m0: Codec = {
  name: 'e3m0',
  encodedBytes: int4.encodedBytes,
  encode(values) {
    const bytes = new Uint8Array(e3m0.encodedBytes(values.length));
    const { scales, codes } = scalesAndCodes(bytes, values.length);
    const single = new Float32Array(1);
    const bits = new Uint32Array(single.buffer);
    for (let block = 0; block < blocksOf(values.length); block++) {
      const inverse = writeScale(scales, block, values, 1);
      const end = endOf(block, values.length);
      for (let i = block * BLOCK; i < end; i++) {
        const quotient = values[i]! * inverse;
        const magnitude = Math.abs(quotient);
        if (magnitude < 2 ** -7) continue;
        single[0] = magnitude;
        // Half a mantissa more carries into the exponent from 1.5 · 2^k on: the nearest power of two.
        const exponent = ((bits[0]! + 0x400000) >>> 23) - 127;
        const code = Math.min(7, Math.max(1, exponent + 7));
        codes[i >> 1]! |= (code | (quotient < 0 ? 8 : 0)) << (4 * (i & 1));
      }
    }
    return bytes;
  },
  decode: (bytes, elements) => decodeNibbles(bytes, elements, E3M0_VALUES),
};

/** What each nibble stands for, before the block's scale; int4 never writes 0, which reads as its neighbour. */
const INT4_VALUES = Float32Array.from({ length: 16 }, (_, nibble) => Math.max(-7, nibble - 8));
const E3M0_VALUES = Float32Array.from({ length: 16 }, (_, nibble) => {
  const code = nibble & 7;
  return code === 0 ? 0 : (nibble & 8 ? -1 : 1) * 2 ** (code - 7);
});

function decodeNibbles(bytes: Uint8Array, elements: number, table: Float32Array): Float32Array {
  const { scales, codes } = scalesAndCodes(bytes, elements);
  const values = new Float32Array(elements);
  for (let block = 0; block < blocksOf(elements); block++) {
    const scale = scales.getFloat32(4 * block, true);
    const end = endOf(block, elements);
    for (let i = block * BLOCK; i < end; i++) values[i] = scale * table[(codes[i >> 1]! >> (4 * (i & 1))) & 15]!;
  }
  return values;
}

const endOf = (block: number, elements: number): number => Math.min(elements, (block + 1) * BLOCK);

/** Writes a block's scale, max / steps. @returns what numbers are multiplied by to become codes */
function writeScale(scales: DataView, block: number, values: Float32Array, steps: number): number {
  const scale = Math.fround(blockMaximum(values, block) / steps);
  scales.setFloat32(4 * block, scale, true);
  return scale === 0 ? 0 : 1 / scale;
}

/** Rounds half away from zero; a scale that was rounded down must not push a code out of its range. */
function clampedRound(x: number, limit: number): number {
  const rounded = x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5);
  return Math.max(-limit, Math.min(limit, rounded));
}
