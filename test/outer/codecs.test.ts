import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codecs, encodeWithFeedback } from '../../src/outer/codecs/index.ts';
import { CODEC_NAMES, type CodecName } from '../../src/protocol/codec-names.ts';

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
const bounds: Readonly<Record<CodecName, (x: number, max: number) => number>> = {
  f32: () => 0,
  f16: (x) => Math.abs(x) * 2 ** -11 + 2 ** -25,
  bf16: (x) => Math.abs(x) * 2 ** -8,
  int8: (_, max) => max / 254 + max * 1e-6,
  int4: (_, max) => max / 14 + max * 1e-6,
  // Between powers of two the nearest is at most a third away; below half the smallest it is zero.
  e3m0: (x, max) => Math.max(Math.abs(x) / 3, max * 2 ** -7) * (1 + 1e-6),
};
const BITS: Readonly<Record<CodecName, number>> = { f32: 32, f16: 16, bf16: 16, int8: 8, int4: 4, e3m0: 4 };

describe.each(CODEC_NAMES)('codec %s', (name) => {
  const codec = codecs[name];
  const roundTrip = (values: Float32Array): Float32Array => codec.decode(codec.encode(values), values.length);

  it('stays within its error, for any length, and takes the bytes that it says', () => {
    fc.assert(
      fc.property(finite, (values) => {
        expect(codec.encode(values)).toHaveLength(codec.encodedBytes(values.length));
        const back = roundTrip(values);
        for (let i = 0; i < values.length; i++) {
          const allowed = bounds[name](values[i]!, blockMax(values, i)) + 1e-38;
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
          if (values[i] === 0) expect(x === 0).toBe(true);
        });
      }),
    );
  });

  it('gives the same bytes for what it has decoded', () => {
    fc.assert(
      fc.property(finite, (values) => {
        const once = roundTrip(values);
        const twice = roundTrip(once);
        for (let i = 0; i < once.length; i++) expect(twice[i]!).toBeCloseTo(once[i]!, 3);
      }),
    );
  });

  it('refuses what is not finite', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(300).fill(1);
      values[270] = bad;
      expect(() => codec.encode(values)).toThrow(/A number to be sent is/);
    }
  });

  it('has the bits a number that its name promises', () => {
    expect((8 * codec.encodedBytes(2 ** 20)) / 2 ** 20).toBeCloseTo(BITS[name] + (BITS[name] <= 8 ? 32 / 256 : 0), 6);
  });

  it('is the test vector of docs/protocol.md', () => {
    const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8');
    const hex = new RegExp(`\\| ${name} \\| \`([0-9a-f]+)\` \\|`).exec(page)![1];
    expect(Buffer.from(codec.encode(Float32Array.of(1, -0.5, 0.3, 0, -0.01, 0.75))).toString('hex')).toBe(hex);
  });

  it('loses nothing over many rounds with error feedback', () => {
    const update = Float32Array.from({ length: 400 }, (_, i) => Math.sin(i) / (1 + (i % 17)));
    let residual = new Float32Array(400);
    const sum = new Float64Array(400);
    const rounds = 60;
    for (let round = 0; round < rounds; round++) {
      const sent = encodeWithFeedback(codec, update, residual);
      residual = sent.residual as Float32Array<ArrayBuffer>;
      sent.decoded.forEach((x, i) => {
        sum[i]! += x;
      });
    }
    // What has not arrived is one residual, however many rounds: the mean converges like 1 / rounds.
    for (let i = 0; i < 400; i++) expect(Math.abs(sum[i]! / rounds - update[i]!)).toBeLessThan(1.5 / rounds);
  });
});
