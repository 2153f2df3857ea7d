/**
 * The codecs' inner loops in AssemblyScript, for WebAssembly with SIMD; docs/protocol.md specifies them to the bit.
 * `npm run kernels` compiles this file into src/outer/codecs/kernels-wasm.ts. Why not plain TypeScript: docs/decisions/0009-codec-kernels.md.
 *
 * All work on one chunk of at most 32,768 numbers, at fixed places in memory. Counts are rounded up to whole blocks of 256 by
 * the caller, who fills what is beyond with zeros.
 */

const BLOCK: u32 = 256;

/**
 * Places, in bytes, of 32,768 numbers each. What comes before the first is left to the compiler. All begin in the middle of a page: a processor takes a
 * load for one that has to wait for a store when the store's address is a little higher, whole pages aside, and copies at a quarter of its speed. Large
 * arrays begin where pages do, and loops here read at the same place of a page as they write.
 */
export const WANTED: u32 = 4_096 + 2_048;
export const BASE: u32 = WANTED + 131_072;
export const RESIDUAL: u32 = BASE + 131_072;
export const DECODED: u32 = RESIDUAL + 131_072;
export const SUM: u32 = DECODED + 131_072;
export const CODES: u32 = SUM + 131_072;
export const SCALES: u32 = CODES + 65_536;

// @ts-ignore: decorator
@inline
const SMALLEST_NORMAL: f32 = 1.1754943508222875e-38;

/** WANTED ← sign · (WANTED − BASE) + RESIDUAL: the update that is to be sent, with what earlier ones left over. */
export function prepare(count: u32, sign: f32): void {
  const s = f32x4.splat(sign);
  for (let i: u32 = 0; i < 4 * count; i += 16) {
    const difference = f32x4.mul(s, f32x4.sub(v128.load(WANTED + i), v128.load(BASE + i)));
    v128.store(WANTED + i, f32x4.add(difference, v128.load(RESIDUAL + i)));
  }
}

/** RESIDUAL ← WANTED − DECODED, DECODED ← BASE + sign · DECODED: what is left over, and what the other side will have. */
export function settle(count: u32, sign: f32): void {
  const s = f32x4.splat(sign);
  for (let i: u32 = 0; i < 4 * count; i += 16) {
    const decoded = v128.load(DECODED + i);
    v128.store(RESIDUAL + i, f32x4.sub(v128.load(WANTED + i), decoded));
    v128.store(DECODED + i, f32x4.add(v128.load(BASE + i), f32x4.mul(s, decoded)));
  }
}

/** DECODED ← BASE − DECODED. */
export function difference(count: u32): void {
  for (let i: u32 = 0; i < 4 * count; i += 16) {
    v128.store(DECODED + i, f32x4.sub(v128.load(BASE + i), v128.load(DECODED + i)));
  }
}

/** SUM ← SUM + weight · DECODED. */
export function accumulate(count: u32, weight: f32): void {
  const w = f32x4.splat(weight);
  for (let i: u32 = 0; i < 4 * count; i += 16) {
    v128.store(SUM + i, f32x4.add(v128.load(SUM + i), f32x4.mul(w, v128.load(DECODED + i))));
  }
}

/** SUM ← SUM + weight · (BASE − DECODED). */
export function accumulateDifference(count: u32, weight: f32): void {
  const w = f32x4.splat(weight);
  for (let i: u32 = 0; i < 4 * count; i += 16) {
    const difference = f32x4.sub(v128.load(BASE + i), v128.load(DECODED + i));
    v128.store(SUM + i, f32x4.add(v128.load(SUM + i), f32x4.mul(w, difference)));
  }
}

/** The sum of squares of DECODED in double precision; not finite when one of them is not, or is beyond 1.8e19. */
export function squares(count: u32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let i: u32 = 0; i < 4 * count; i += 16) {
    const x = v128.load(DECODED + i);
    const a = f64x2.promote_low_f32x4(x);
    const b = f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3));
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
  }
  const both = f64x2.add(low, high);
  return f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
}

/** Whether all of WANTED is finite. */
export function finite(count: u32): bool {
  const infinity = f32x4.splat(Infinity);
  let a = i32x4.splat(-1);
  let b = i32x4.splat(-1);
  for (let i: u32 = 0; i < 4 * count; i += 32) {
    a = v128.and(a, f32x4.lt(f32x4.abs(v128.load(WANTED + i)), infinity));
    b = v128.and(b, f32x4.lt(f32x4.abs(v128.load(WANTED + i, 16)), infinity));
  }
  return i32x4.all_true(v128.and(a, b));
}

/** The largest magnitude of a block of WANTED. Bits of magnitudes are in the order of their numbers, NaN after infinity. */
// @ts-ignore: decorator
@inline
function maximum(block: u32): f32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  const from = WANTED + 4 * BLOCK * block;
  for (let i: u32 = from; i < from + 4 * BLOCK; i += 64) {
    a = i32x4.max_s(a, v128.and(magnitude, v128.load(i)));
    b = i32x4.max_s(b, v128.and(magnitude, v128.load(i, 16)));
    a = i32x4.max_s(a, v128.and(magnitude, v128.load(i, 32)));
    b = i32x4.max_s(b, v128.and(magnitude, v128.load(i, 48)));
  }
  const four = i32x4.max_s(a, b);
  const two = i32x4.max_s(four, i32x4.shuffle(four, four, 2, 3, 0, 1));
  return reinterpret<f32>(max(i32x4.extract_lane(two, 0), i32x4.extract_lane(two, 1)));
}

/** Writes max / steps as the block's scale, zero where it would not be a normal number. @returns 1 / scale or 0; NaN where a number is not finite */
// @ts-ignore: decorator
@inline
function scaleOf(block: u32, steps: f32): f32 {
  const largest = maximum(block);
  if (!(largest < Infinity)) return NaN;
  const scale = largest / steps;
  if (scale < SMALLEST_NORMAL) {
    store<f32>(SCALES + 4 * block, 0);
    return 0;
  }
  store<f32>(SCALES + 4 * block, scale);
  return 1 / scale;
}

/** 1.5 · 2^23: a small number added to it is rounded to the nearest integer, ties to even, and stands in its lowest bits. */
// @ts-ignore: decorator
@inline
const ROUNDER: f32 = 12582912;

// @ts-ignore: decorator
@inline
function rounded(place: u32, inverse: v128): v128 {
  const shifted = f32x4.add(f32x4.mul(v128.load(place), inverse), f32x4.splat(ROUNDER));
  return i32x4.sub(shifted, i32x4.splat(0x4b400000));
}

export function encodeInt8(count: u32): bool {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const inverse = scaleOf(block, 127);
    if (isNaN(inverse)) return false;
    const factor = f32x4.splat(inverse);
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 16) {
      const from = WANTED + 4 * i;
      const low = i16x8.narrow_i32x4_s(rounded(from, factor), rounded(from + 16, factor));
      const high = i16x8.narrow_i32x4_s(rounded(from + 32, factor), rounded(from + 48, factor));
      v128.store(CODES + i, i8x16.narrow_i16x8_s(low, high));
    }
  }
  return true;
}

export function decodeInt8(count: u32): void {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = f32x4.splat(load<f32>(SCALES + 4 * block));
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 8) {
      const codes = v128.load8x8_s(CODES + i);
      const to = DECODED + 4 * i;
      v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(codes))));
      v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(codes))), 16);
    }
  }
}

/** Sixteen codes of eight vectors of four, as bytes with the even one in the low half. */
// @ts-ignore: decorator
@inline
function nibbles(a: v128, b: v128, c: v128, d: v128): v128 {
  const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  return v128.or(v128.and(bytes, i16x8.splat(0x00ff)), i16x8.shl(i16x8.shr_u(bytes, 8), 4));
}

// @ts-ignore: decorator
@inline
function int4Code(place: u32, inverse: v128): v128 {
  return i32x4.add(rounded(place, inverse), i32x4.splat(8));
}

export function encodeInt4(count: u32): bool {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const inverse = scaleOf(block, 7);
    if (isNaN(inverse)) return false;
    const factor = f32x4.splat(inverse);
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 32) {
      const from = WANTED + 4 * i;
      const low = nibbles(
        int4Code(from, factor),
        int4Code(from + 16, factor),
        int4Code(from + 32, factor),
        int4Code(from + 48, factor),
      );
      const high = nibbles(
        int4Code(from + 64, factor),
        int4Code(from + 80, factor),
        int4Code(from + 96, factor),
        int4Code(from + 112, factor),
      );
      v128.store(CODES + i / 2, i8x16.narrow_i16x8_u(low, high));
    }
  }
  return true;
}

/** Sixteen nibbles from eight bytes, in order, as bytes. */
// @ts-ignore: decorator
@inline
function sixteen(place: u32): v128 {
  const bytes = v128.load64_zero(place);
  const low = v128.and(bytes, i8x16.splat(15));
  const high = i8x16.shr_u(bytes, 4);
  return i8x16.shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

export function decodeInt4(count: u32): void {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = f32x4.splat(load<f32>(SCALES + 4 * block));
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 16) {
      const codes = i8x16.max_s(i8x16.sub(sixteen(CODES + i / 2), i8x16.splat(8)), i8x16.splat(-7));
      const low = i16x8.extend_low_i8x16_s(codes);
      const high = i16x8.extend_high_i8x16_s(codes);
      const to = DECODED + 4 * i;
      v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))));
      v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low))), 16);
      v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), 32);
      v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high))), 48);
    }
  }
}

// @ts-ignore: decorator
@inline
function e3m0Code(place: u32, inverse: v128): v128 {
  const quotient = f32x4.mul(v128.load(place), inverse);
  const magnitude = f32x4.abs(quotient);
  // Half a mantissa more carries into the exponent from 1.5 · 2^k on: the nearest power of two.
  const exponent = i32x4.shr_u(i32x4.add(magnitude, i32x4.splat(0x400000)), 23);
  const code = i32x4.min_s(i32x4.max_s(i32x4.sub(exponent, i32x4.splat(120)), i32x4.splat(1)), i32x4.splat(7));
  const signed = v128.or(code, v128.and(i32x4.shr_u(quotient, 28), i32x4.splat(8)));
  return v128.and(signed, f32x4.ge(magnitude, f32x4.splat(0.0078125)));
}

export function encodeE3m0(count: u32): bool {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const inverse = scaleOf(block, 1);
    if (isNaN(inverse)) return false;
    const factor = f32x4.splat(inverse);
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 32) {
      const from = WANTED + 4 * i;
      const low = nibbles(
        e3m0Code(from, factor),
        e3m0Code(from + 16, factor),
        e3m0Code(from + 32, factor),
        e3m0Code(from + 48, factor),
      );
      const high = nibbles(
        e3m0Code(from + 64, factor),
        e3m0Code(from + 80, factor),
        e3m0Code(from + 96, factor),
        e3m0Code(from + 112, factor),
      );
      v128.store(CODES + i / 2, i8x16.narrow_i16x8_u(low, high));
    }
  }
  return true;
}

/** The upper halves of four singles, times the scale. */
// @ts-ignore: decorator
@inline
function fromHalves(halves: v128, scale: v128): v128 {
  return f32x4.mul(scale, i32x4.shl(halves, 16));
}

/** The singles ±2^(c − 7) and ±0 have nothing in their lower halves: the upper ones' two bytes are looked up by the code. */
export function decodeE3m0(count: u32): void {
  const first = i8x16(0, -128, 0, -128, 0, -128, 0, -128, 0, -128, 0, -128, 0, -128, 0, -128);
  const second = i8x16(0, 60, 61, 61, 62, 62, 63, 63, 0, -68, -67, -67, -66, -66, -65, -65);
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = f32x4.splat(load<f32>(SCALES + 4 * block));
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 16) {
      const codes = sixteen(CODES + i / 2);
      const low = i8x16.swizzle(first, codes);
      const high = i8x16.swizzle(second, codes);
      const one = i8x16.shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const two = i8x16.shuffle(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const to = DECODED + 4 * i;
      v128.store(to, fromHalves(i32x4.extend_low_i16x8_u(one), scale));
      v128.store(to, fromHalves(i32x4.extend_high_i16x8_u(one), scale), 16);
      v128.store(to, fromHalves(i32x4.extend_low_i16x8_u(two), scale), 32);
      v128.store(to, fromHalves(i32x4.extend_high_i16x8_u(two), scale), 48);
    }
  }
}

/**
 * Writes `factor` times the mean magnitude of a block as its scale, zero where it would not be a normal number; of the last block, which may be shorter,
 * only its own numbers count. @returns the scale; NaN where a number is not finite
 */
// @ts-ignore: decorator
@inline
function meanScale(block: u32, elements: u32, factor: f32): f32 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const from = WANTED + 4 * BLOCK * block;
  for (let i: u32 = from; i < from + 4 * BLOCK; i += 16) {
    const x = f32x4.abs(v128.load(i));
    low = f64x2.add(low, f64x2.promote_low_f32x4(x));
    high = f64x2.add(high, f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3)));
  }
  const both = f64x2.add(low, high);
  const sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  if (!(sum < Infinity)) return NaN;
  const scale = <f32>(sum / <f64>min(BLOCK, elements - BLOCK * block)) * factor;
  const kept = scale < SMALLEST_NORMAL ? <f32>0 : scale;
  store<f32>(SCALES + 4 * block, kept);
  return kept;
}

/** The signs of four numbers as four bits. */
// @ts-ignore: decorator
@inline
function negatives(place: u32): u32 {
  return i32x4.bitmask(f32x4.lt(v128.load(place), f32x4.splat(0)));
}

export function encodeSign(count: u32, elements: u32): bool {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = meanScale(block, elements, 1);
    if (isNaN(scale)) return false;
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 8) {
      const from = WANTED + 4 * i;
      const signs = negatives(from) | (negatives(from + 16) << 4);
      store<u8>(CODES + i / 8, scale === 0 ? 0 : signs);
    }
  }
  return true;
}

/** Flips the scale's sign where the element's bit is set. */
// @ts-ignore: decorator
@inline
function withSigns(bits: v128, places: v128, scale: v128): v128 {
  const set = i32x4.eq(v128.and(bits, places), places);
  return v128.xor(scale, v128.and(set, i32x4.splat(0x80000000)));
}

export function decodeSign(count: u32): void {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = f32x4.splat(load<f32>(SCALES + 4 * block));
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 8) {
      const bits = i32x4.splat(load<u8>(CODES + i / 8));
      const to = DECODED + 4 * i;
      v128.store(to, withSigns(bits, i32x4(1, 2, 4, 8), scale));
      v128.store(to, withSigns(bits, i32x4(16, 32, 64, 128), scale), 16);
    }
  }
}

/** Codes 0 to 3 of four numbers in a byte; those between −2 and 2 scales are 1 and 2. */
// @ts-ignore: decorator
@inline
function int2Codes(place: u32, twice: v128): u32 {
  const x = v128.load(place);
  const zero = f32x4.splat(0);
  // Each comparison that holds is −1.
  const less = i32x4.add(f32x4.lt(x, zero), f32x4.lt(x, f32x4.neg(twice)));
  const code = i32x4.add(i32x4.splat(2), i32x4.sub(less, f32x4.ge(x, twice)));
  const shifted = i32x4.mul(code, i32x4(1, 4, 16, 64));
  return (
    i32x4.extract_lane(shifted, 0) |
    i32x4.extract_lane(shifted, 1) |
    i32x4.extract_lane(shifted, 2) |
    i32x4.extract_lane(shifted, 3)
  );
}

export function encodeInt2(count: u32, elements: u32): bool {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = meanScale(block, elements, 0.625);
    if (isNaN(scale)) return false;
    const twice = f32x4.splat(2 * scale);
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 4) {
      store<u8>(CODES + i / 4, scale === 0 ? 170 : int2Codes(WANTED + 4 * i, twice));
    }
  }
  return true;
}

export function decodeInt2(count: u32): void {
  for (let block: u32 = 0; block < count / BLOCK; block++) {
    const scale = f32x4.splat(load<f32>(SCALES + 4 * block));
    for (let i: u32 = BLOCK * block; i < BLOCK * (block + 1); i += 4) {
      const bits = i32x4.splat(load<u8>(CODES + i / 4));
      // The code of each lane, moved to the two highest of the byte's bits by a product.
      const codes = v128.and(i32x4.shr_u(i32x4.mul(bits, i32x4(64, 16, 4, 1)), 6), i32x4.splat(3));
      const levels = i32x4.sub(i32x4.shl(codes, 1), i32x4.splat(3));
      v128.store(DECODED + 4 * i, f32x4.mul(scale, f32x4.convert_i32x4_s(levels)));
    }
  }
}

// @ts-ignore: decorator
@inline
function upperHalf(bits: v128): v128 {
  const even = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  return i32x4.shr_u(i32x4.add(bits, i32x4.add(even, i32x4.splat(0x7fff))), 16);
}

/** As {@link upperHalf}; what would round up to infinity stays finite. */
// @ts-ignore: decorator
@inline
function boundedUpperHalf(bits: v128): v128 {
  const up = upperHalf(bits);
  const infinite = i32x4.eq(v128.and(up, i32x4.splat(0x7f80)), i32x4.splat(0x7f80));
  return v128.bitselect(i32x4.shr_u(bits, 16), up, infinite);
}

export function encodeBf16(count: u32): bool {
  const magnitude = i32x4.splat(0x7fffffff);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  for (let i: u32 = 0; i < count; i += 16) {
    const from = WANTED + 4 * i;
    const one = v128.load(from);
    const two = v128.load(from, 16);
    const three = v128.load(from, 32);
    const four = v128.load(from, 48);
    a = i32x4.max_s(i32x4.max_s(a, v128.and(one, magnitude)), v128.and(three, magnitude));
    b = i32x4.max_s(i32x4.max_s(b, v128.and(two, magnitude)), v128.and(four, magnitude));
    v128.store(CODES + 2 * i, i16x8.narrow_i32x4_u(upperHalf(one), upperHalf(two)));
    v128.store(CODES + 2 * i, i16x8.narrow_i32x4_u(upperHalf(three), upperHalf(four)), 16);
  }
  const largest = i32x4.max_s(a, b);
  if (!v128.any_true(i32x4.ge_s(largest, i32x4.splat(0x7f7f8000)))) return true;
  for (let i: u32 = 0; i < count; i += 8) {
    const from = WANTED + 4 * i;
    const low = boundedUpperHalf(v128.load(from));
    v128.store(CODES + 2 * i, i16x8.narrow_i32x4_u(low, boundedUpperHalf(v128.load(from, 16))));
  }
  return !v128.any_true(i32x4.ge_s(largest, i32x4.splat(0x7f800000)));
}

export function decodeBf16(count: u32): void {
  for (let i: u32 = 0; i < count; i += 4) {
    v128.store(DECODED + 4 * i, i32x4.shl(v128.load16x4_u(CODES + 2 * i), 16));
  }
}
