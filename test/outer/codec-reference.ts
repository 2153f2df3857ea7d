import type { NumberCodecName } from '../../src/protocol/codec-names.ts';

/**
 * The codecs once more, in plain loops written from docs/protocol.md alone: what the kernels are held against, to the bit.
 * All arithmetic is in float32, which `Math.fround` rounds to after each operation.
 */

const f = Math.fround;
const SMALLEST_NORMAL = 2 ** -126;

/** To the nearest integer, ties to even. */
function nearest(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

export function referenceBytes(name: NumberCodecName, values: Float32Array): Uint8Array {
  switch (name) {
    case 'f32':
      return new Uint8Array(values.slice().buffer);
    case 'f16':
      return new Uint8Array(new Float16Array(values).buffer);
    case 'bf16':
      return new Uint8Array(Uint16Array.from(values, upperHalf).buffer);
    case 'int8': {
      const { scales, quotients } = scaled(values, 127);
      return joined(scales, Uint8Array.from(quotients, nearest));
    }
    case 'int4': {
      const { scales, quotients } = scaled(values, 7);
      return joined(
        scales,
        packed(
          Array.from(quotients, (q) => 8 + nearest(q)),
          4,
        ),
      );
    }
    case 'e3m0': {
      const { scales, quotients } = scaled(values, 1);
      return joined(scales, packed(Array.from(quotients, e3m0Code), 4));
    }
    case 'int2': {
      const scales = meanScales(values, 0.625);
      const codes = Array.from(values, (x, i) => {
        const twice = 2 * scales[Math.floor(i / 256)]!;
        if (twice === 0) return 2;
        return x < 0 ? (x < -twice ? 0 : 1) : x >= twice ? 3 : 2;
      });
      return joined(scales, packed(codes, 2));
    }
    case 'sign': {
      const scales = meanScales(values, 1);
      const codes = Array.from(values, (x, i) => (x < 0 && scales[Math.floor(i / 256)]! > 0 ? 1 : 0));
      return joined(scales, packed(codes, 1));
    }
  }
}

function upperHalf(x: number): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer)[0]!;
  const up = Math.floor((bits + 0x7fff + ((bits >>> 16) & 1)) / 0x10000);
  return (up & 0x7f80) === 0x7f80 ? bits >>> 16 : up;
}

function scaled(values: Float32Array, steps: number) {
  const scales = new Float32Array(Math.ceil(values.length / 256));
  const quotients = values.map((x, i) => {
    const block = Math.floor(i / 256);
    const max = values.subarray(256 * block, 256 * (block + 1)).reduce((m, y) => Math.max(m, Math.abs(y)), 0);
    const scale = f(max / steps);
    scales[block] = scale < SMALLEST_NORMAL ? 0 : scale;
    return scales[block] === 0 ? 0 : f(x * f(1 / scale));
  });
  return { scales, quotients };
}

/** The nearest of 0 and ±2^(c − 7), c from 1 to 7; ties away from zero. */
function e3m0Code(quotient: number): number {
  const magnitude = Math.abs(quotient);
  if (magnitude < 2 ** -7) return 0;
  let code = 1;
  while (code < 7 && magnitude >= 1.5 * 2 ** (code - 7)) code++;
  return quotient < 0 ? code + 8 : code;
}

/** `factor` times the mean magnitude of each block. Four sums in doubles, of every fourth number, are added up crosswise. */
function meanScales(values: Float32Array, factor: number): Float32Array {
  const scales = new Float32Array(Math.ceil(values.length / 256));
  for (const block of scales.keys()) {
    const own = values.subarray(256 * block, 256 * (block + 1));
    const sums = [0, 0, 0, 0];
    for (const [i, x] of own.entries()) sums[i % 4]! += Math.abs(x);
    const scale = f(f((sums[0]! + sums[2]! + (sums[1]! + sums[3]!)) / own.length) * factor);
    scales[block] = scale < SMALLEST_NORMAL ? 0 : scale;
  }
  return scales;
}

/** Codes of so many bits end to end, the first in the lowest bits of the first byte. */
function packed(codes: readonly number[], bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  for (const [i, code] of codes.entries()) bytes[(i * bits) >> 3]! += code << ((i * bits) % 8);
  return bytes;
}

const joined = (scales: Float32Array, codes: Uint8Array): Uint8Array =>
  Uint8Array.from([...new Uint8Array(scales.buffer), ...codes]);
