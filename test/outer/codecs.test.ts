import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addChunk, type Codec, codecFor, decodeAll, squaresOf } from '../../src/outer/codecs/index.ts';
import { encodeNumbers } from '../../src/outer/codecs/numbers.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { type CodecName, NUMBER_CODECS, type NumberCodecName } from '../../src/protocol/codec-names.ts';
import { referenceBytes } from './codec-reference.ts';

const vector = (elements: number): Fragment => ({
  index: 0,
  elements,
  tensors: [{ name: 'w', elements, role: 'other' }],
});
const matrix = (rows: number, columns: number, behind = 0): Fragment => ({
  index: 0,
  elements: rows * columns + behind,
  tensors: [
    { name: 'w', elements: rows * columns, rows, role: 'other' },
    ...(behind > 0 ? [{ name: 'b', elements: behind, role: 'other' as const }] : []),
  ],
});
/** Sends values as they are: base and residual zero. */
const sent = (codec: Codec, values: Float32Array) => {
  const nothing = new Float32Array(values.length);
  return codec.send({
    parameters: values,
    base: nothing,
    residual: nothing,
    sign: 1,
    memory: new Float32Array(codec.memoryElements),
  });
};

const finite = fc
  .array(fc.oneof(fc.constant(0), fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 })), {
    maxLength: 700,
  })
  .map((list) => Float32Array.from(list));
const blockMax = (values: Float32Array, i: number): number => {
  const start = Math.floor(i / 256) * 256;
  return values.subarray(start, start + 256).reduce((max, x) => Math.max(max, Math.abs(x)), 0);
};
/** Largest error that a codec may make on `x`, whose block has this largest magnitude. */
const bounds: Readonly<Record<NumberCodecName, (x: number, max: number) => number>> = {
  f32: () => 0,
  f16: (x) => Math.abs(x) * 2 ** -11 + 2 ** -25,
  bf16: (x) => Math.abs(x) * 2 ** -8,
  int8: (_, max) => max / 254 + max * 1e-6,
  int4: (_, max) => max / 14 + max * 1e-6,
  // Between powers of two the nearest is at most a third away; below half the smallest it is zero.
  e3m0: (x, max) => Math.max(Math.abs(x) / 3, max * 2 ** -7) * (1 + 1e-6),
  // Their levels are as far out as the numbers are on average: no number is further from its own than the largest magnitude.
  int2: (_, max) => max * (1 + 1e-6),
  sign: (_, max) => max * (1 + 1e-6),
};
/** A block whose scale would not be a normal number counts as zeros. */
const TINY = 127 * 2 ** -126;
const BITS: Readonly<Record<NumberCodecName, number>> = {
  f32: 32,
  f16: 16,
  bf16: 16,
  int8: 8,
  int4: 4,
  e3m0: 4,
  int2: 2,
  sign: 1,
};
/** Those that have no code for zero: only a block of zeros comes back as zeros. */
const WITHOUT_ZERO: readonly NumberCodecName[] = ['int2', 'sign'];
const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8');
const hexOf = (name: string): string =>
  new RegExp(`\\| ${name.replaceAll(/[+/]/g, '\\$&')} \\| \`([0-9a-f]+)\` \\|`).exec(page)![1]!;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe.each(NUMBER_CODECS)('codec %s', (name) => {
  const roundTrip = (values: Float32Array): Float32Array => {
    const codec = codecFor(name, vector(values.length));
    return decodeAll(codec, sent(codec, values).payload);
  };

  it('gives the bytes that plain loops from its specification give', () => {
    fc.assert(
      fc.property(finite, (values) => {
        expect(hex(encodeNumbers(name, values))).toBe(hex(referenceBytes(name, values)));
      }),
    );
    // More than one chunk, and numbers of every magnitude that all codecs take.
    const many = Float32Array.from({ length: 70_001 }, (_, i) => Math.sin(i * i) * 10 ** ((i % 40) / 4 - 6));
    expect(hex(encodeNumbers(name, many))).toBe(hex(referenceBytes(name, many)));
  });

  it('stays within its error, for any length, and takes the bytes that it says', () => {
    fc.assert(
      fc.property(finite, (values) => {
        const codec = codecFor(name, vector(values.length));
        expect(sent(codec, values).payload).toHaveLength(codec.mostBytes);
        const back = roundTrip(values);
        for (let i = 0; i < values.length; i++) {
          const allowed = bounds[name](values[i]!, blockMax(values, i)) + TINY;
          if (!(Math.abs(back[i]! - values[i]!) <= allowed)) throw new Error(`${values[i]} came back as ${back[i]}`);
        }
      }),
    );
  });

  it('keeps zero exactly, and the signs of what is not lost', () => {
    fc.assert(
      fc.property(finite, (values) => {
        roundTrip(values).forEach((x, i) => {
          expect(x * values[i]!).toBeGreaterThanOrEqual(0);
          const zero = WITHOUT_ZERO.includes(name) ? blockMax(values, i) === 0 : values[i] === 0;
          if (zero) expect(x === 0).toBe(true);
        });
      }),
    );
  });

  // Two bits' levels are drawn together towards their mean each time.
  it.skipIf(name === 'int2')('gives nearly the same numbers for what it has decoded', () => {
    fc.assert(
      fc.property(finite, (values) => {
        const once = roundTrip(values);
        const twice = roundTrip(once);
        for (let i = 0; i < once.length; i++) expect(twice[i]!).toBeCloseTo(once[i]!, 3);
      }),
    );
  });

  it('has the bits a number that its name promises', () => {
    const { mostBytes } = codecFor(name, vector(2 ** 20));
    expect((8 * mostBytes) / 2 ** 20).toBeCloseTo(BITS[name] + (BITS[name] <= 8 ? 32 / 256 : 0), 6);
  });

  it('is the test vector of docs/protocol.md', () => {
    expect(hex(encodeNumbers(name, Float32Array.of(1, -0.5, 0.3, 0, -0.01, 0.75)))).toBe(hexOf(name));
  });
});

it('bf16 keeps the largest singles finite', () => {
  const largest = Float32Array.of(3.4e38, -3.4e38);
  expect(hex(encodeNumbers('bf16', largest))).toBe(hex(referenceBytes('bf16', largest)));
  expect(decodeAll(codecFor('bf16', vector(2)), encodeNumbers('bf16', largest)).every(Number.isFinite)).toBe(true);
});

const COMPOUND: readonly CodecName[] = ['top-1/64+int4', 'top-1/8+f32', 'low-rank-4+int8', 'low-rank-2+f32'];

describe.each([...NUMBER_CODECS, ...COMPOUND])('codec %s on its way', (name) => {
  const update = (fragment: Fragment, seed = 1): Float32Array =>
    Float32Array.from({ length: fragment.elements }, (_, i) => Math.sin(seed * i * i + i) / (1 + (i % 17)));

  it('refuses what is not finite', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const fragment = matrix(40, 50, 3);
      const values = update(fragment);
      values[270] = bad;
      expect(() => sent(codecFor(name, fragment), values)).toThrow(/not finite/);
    }
  });

  it('is for its reader what its sender says, and leaves over the rest, to the bit', () => {
    for (const fragment of [matrix(40, 50, 3), matrix(300, 130, 7), vector(5_000), vector(1)]) {
      for (const sign of [1, -1] as const) {
        const codec = codecFor(name, fragment);
        const [parameters, base, residual] = [update(fragment), update(fragment, 2), update(fragment, 3)];
        const memory = new Float32Array(codec.memoryElements);
        const result = codec.send({ parameters, base, residual, sign, memory });
        expect(result.payload.length).toBeGreaterThanOrEqual(codec.leastBytes);
        expect(result.payload.length).toBeLessThanOrEqual(codec.mostBytes);
        const decoded = decodeAll(codec, result.payload);
        const f = Math.fround;
        const arrives = decoded.map((d, i) => base[i]! + sign * d);
        const left = decoded.map((d, i) => f(f(sign * f(parameters[i]! - base[i]!)) + residual[i]!) - d);
        expect(result.arrives).toEqual(arrives);
        expect(result.residual).toEqual(left);
      }
    }
  });

  it('loses nothing over many rounds with error feedback', () => {
    const fragment = matrix(24, 32, 5);
    const codec = codecFor(name, fragment);
    const wanted = update(fragment);
    let residual: Float32Array = new Float32Array(fragment.elements);
    let memory: Float32Array = new Float32Array(codec.memoryElements);
    const sum = new Float64Array(fragment.elements);
    const base = new Float32Array(fragment.elements);
    const rounds = 400;
    for (let round = 0; round < rounds; round++) {
      const result = codec.send({ parameters: wanted, base, residual, sign: 1, memory });
      ({ residual, memory } = result);
      result.arrives.forEach((x, i) => {
        sum[i]! += x;
      });
    }
    // What has not arrived is one residual, however many rounds: the mean converges like 1 / rounds.
    for (let i = 0; i < sum.length; i++) expect(Math.abs(sum[i]! / rounds - wanted[i]!)).toBeLessThan(0.15);
    const error = Math.sqrt(sum.reduce((e, x, i) => e + (x / rounds - wanted[i]!) ** 2, 0) / squaresOf(wanted));
    expect(error).toBeLessThan(0.12);
  });

  it('refuses a payload that is cut short, too long or scrambled, or reads finite or no numbers from it', () => {
    const fragment = matrix(40, 50, 3);
    const codec = codecFor(name, fragment);
    const { payload } = sent(codec, update(fragment));
    expect(() => decodeAll(codec, payload.subarray(0, payload.length - 1))).toThrow(/cannot be read/);
    expect(() => decodeAll(codec, Uint8Array.from([...payload, 1]))).toThrow(/cannot be read/);
    expect(() => decodeAll(codec, new Uint8Array(0))).toThrow(/cannot be read/);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: payload.length, maxLength: payload.length }), (noise) => {
        try {
          expect(decodeAll(codec, noise)).toHaveLength(fragment.elements);
        } catch (error) {
          expect(String(error)).toMatch(/cannot be read/);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('top-k', () => {
  it('sends the largest of every group, and the gaps between their places', () => {
    const values = new Float32Array(8_192 + 10);
    values[3] = -5;
    values[200] = 7;
    values[4_095] = 1;
    values[4_096 + 4_000] = 2;
    values[8_192 + 9] = 0.5;
    const codec = codecFor('top-1/2048+f32', vector(values.length));
    // Two of each whole group, one of the rest.
    const { payload } = sent(codec, values);
    const numbers = new Float32Array(payload.slice(0, 20).buffer);
    expect([...numbers]).toEqual([-5, 7, 0, 2, 0.5]);
    // 3; 200 − 3 − 1 = 196 = 128 + 68 → c4 01; first of equals: 0; 4000 − 1 = 3999 → 9f 1f; 9.
    expect(hex(payload.subarray(20))).toBe('03c401009f1f09');
    const back = decodeAll(codec, payload);
    expect([back[3], back[200], back[4_095], back[8_096], back[8_201]]).toEqual([-5, 7, 0, 2, 0.5]);
  });

  it('is the test vector of docs/protocol.md', () => {
    const values = Float32Array.of(1, -0.5, 0.3, 0, -0.01, 0.75);
    expect(hex(sent(codecFor('top-1/3+int4', vector(6)), values).payload)).toBe(hexOf('top-1/3+int4'));
  });
});

describe('low rank', () => {
  /** Σ of `rank` outer products. */
  const product = (rows: number, columns: number, rank: number): Float32Array =>
    Float32Array.from({ length: rows * columns }, (_, i) => {
      const [r, c] = [Math.floor(i / columns), i % columns];
      let sum = 0;
      for (let k = 1; k <= rank; k++) sum += (Math.sin(k * r + k) * Math.cos(k * k * c)) / k ** 2;
      return sum;
    });
  const distance = (a: Float32Array, b: Float32Array): number =>
    Math.sqrt(squaresOf(a.map((x, i) => x - b[i]!)) / squaresOf(a));

  it('is exact for matrices of its rank, and whole for what would not get smaller', () => {
    const values = Float32Array.from([...product(40, 50, 3), 1, 2, 3]);
    const codec = codecFor('low-rank-4+f32', matrix(40, 50, 3));
    expect(distance(values, decodeAll(codec, sent(codec, values).payload))).toBeLessThan(1e-5);
    const small = codecFor('low-rank-4+f32', matrix(4, 4));
    const whole = Float32Array.from({ length: 16 }, (_, i) => i ** 2);
    expect(decodeAll(small, sent(small, whole).payload)).toEqual(whole);
  });

  it('takes no more columns than the spectrum asks for', () => {
    const codec = codecFor('low-rank-8+f32', matrix(40, 50));
    const ranks = [1, 3, 8].map((rank) => {
      const { payload } = sent(codec, product(40, 50, rank));
      return new DataView(payload.buffer).getUint16(0, true);
    });
    expect(ranks[0]).toBe(1);
    expect(ranks[0]!).toBeLessThan(ranks[1]!);
    expect(ranks[2]!).toBeLessThanOrEqual(8);
    expect(sent(codec, new Float32Array(2_000)).payload).toHaveLength(codec.leastBytes);
  });

  it('gets nearer from one payload to the next, as it starts where it ended', () => {
    const codec = codecFor('low-rank-2+f32', matrix(40, 50));
    const values = Float32Array.from({ length: 2_000 }, (_, i) => Math.sin(i * i)).map(
      (x, i) => x * 0.2 + product(40, 50, 2)[i]!,
    );
    const nothing = new Float32Array(2_000);
    let memory: Float32Array = new Float32Array(codec.memoryElements);
    const errors = Array.from({ length: 4 }, () => {
      const result = codec.send({ parameters: values, base: nothing, residual: nothing, sign: 1, memory });
      ({ memory } = result);
      return distance(values, result.arrives);
    });
    expect(errors[3]!).toBeLessThan(errors[0]!);
  });

  it('is the test vector of docs/protocol.md', () => {
    const values = Float32Array.from({ length: 36 }, (_, i) => (1 + Math.floor(i / 6)) * ((i % 6) - 2));
    expect(hex(sent(codecFor('low-rank-1+int8', matrix(6, 6)), values).payload)).toBe(hexOf('low-rank-1+int8'));
  });
});

describe('sums of chunks', () => {
  it('add in float32 what they are given, for any length and place', () => {
    for (const [length, offset] of [
      [1, 0],
      [300, 7],
      [40_000, 13],
    ] as const) {
      const sum = Float32Array.from({ length: length + 20 }, (_, i) => i % 7);
      const chunk = Float32Array.from({ length }, (_, i) => Math.cos(i));
      const expected = sum.map((x, i) =>
        i < offset || i >= offset + length ? x : x + Math.fround(Math.fround(0.3) * chunk[i - offset]!),
      );
      addChunk(sum, chunk, offset, 0.3);
      expect(sum).toEqual(expected);
    }
  });

  it('show what is not finite', () => {
    expect(squaresOf(Float32Array.of(3, 4))).toBe(25);
    expect(squaresOf(new Float32Array(70_000).fill(1))).toBe(70_000);
    expect(Number.isFinite(squaresOf(Float32Array.of(1, Number.NaN)))).toBe(false);
    expect(Number.isFinite(squaresOf(Float32Array.of(Number.NEGATIVE_INFINITY)))).toBe(false);
  });
});
