import type { NumberCodecName } from '../../protocol/codec-names.ts';
import {
  BLOCK,
  type Codec,
  malformed,
  notFinite,
  placesFor,
  type Sent,
  type Update,
  type Visitor,
  wholeBlocks,
} from './codec.ts';
import { CHUNK, kernels, type Loops } from './kernels.ts';

/**
 * Codecs that treat all numbers alike: f32, f16 and bf16 each by itself, int8, int4, e3m0, int2 and sign in blocks of 256 with one scale. A
 * block of zeros comes back as zeros. Scales stand in front of all codes.
 */

interface NumberCoder {
  /** Codes of the chunk in `wanted`, of so many `elements`, filled up to `count`: false when a number is not finite. */
  encode(count: number, elements: number): boolean;
  /** What a reader of these codes will have, in `decoded`. */
  echo(count: number): void;
  /** Codes that have come, in `decoded`. */
  decode(count: number): void;
  /** Where codes are left by `encode`, and where `decode` looks for them. */
  readonly written: Uint8Array;
  readonly expected: Uint8Array;
}

const bytesOf = (floats: Float32Array): Uint8Array =>
  new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);

function coderOf(name: NumberCodecName): NumberCoder {
  const { loops, codes, wanted, decoded } = kernels();
  const compiled = (encode: Loops['encodeSign'], decode: Loops['decodeSign']): NumberCoder => ({
    encode: (count, elements) => encode(count, elements) !== 0,
    echo: decode,
    decode,
    written: codes,
    expected: codes,
  });
  switch (name) {
    case 'f32':
      return {
        encode: (count) => loops.finite(count) !== 0,
        echo: (count) => decoded.set(wanted.subarray(0, count)),
        decode: () => {},
        written: bytesOf(wanted),
        expected: bytesOf(decoded),
      };
    case 'f16': {
      const halves = new Float16Array(codes.buffer, codes.byteOffset, CHUNK);
      const bits = new Uint16Array(codes.buffer, codes.byteOffset, CHUNK);
      const decode = (count: number): void => decoded.set(halves.subarray(0, count));
      const encode = (count: number): boolean => {
        halves.set(wanted.subarray(0, count));
        for (let i = 0; i < count; i++) if ((bits[i]! & 0x7c00) === 0x7c00) return false;
        return true;
      };
      return { encode, echo: decode, decode, written: codes, expected: codes };
    }
    case 'bf16':
      return compiled(loops.encodeBf16, loops.decodeBf16);
    case 'int8':
      return compiled(loops.encodeInt8, loops.decodeInt8);
    case 'int4':
      return compiled(loops.encodeInt4, loops.decodeInt4);
    case 'e3m0':
      return compiled(loops.encodeE3m0, loops.decodeE3m0);
    case 'int2':
      return compiled(loops.encodeInt2, loops.decodeInt2);
    case 'sign':
      return compiled(loops.encodeSign, loops.decodeSign);
  }
}

const BITS = { f32: 32, f16: 16, bf16: 16, int8: 8, int4: 4, e3m0: 4, int2: 2, sign: 1 } as const;
const SCALED = {
  f32: false,
  f16: false,
  bf16: false,
  int8: true,
  int4: true,
  e3m0: true,
  int2: true,
  sign: true,
} as const;

/** Bytes of scales in front, and of everything. */
function sizesOf(name: NumberCodecName, elements: number): { readonly front: number; readonly all: number } {
  const front = SCALED[name] ? (4 * wholeBlocks(elements)) / BLOCK : 0;
  return { front, all: front + Math.ceil((elements * BITS[name]) / 8) };
}

export const encodedBytes = (name: NumberCodecName, elements: number): number => sizesOf(name, elements).all;

/** Encodes numbers as they are. @throws HelioError HELIO-2002 when one is not finite */
export function encodeNumbers(name: NumberCodecName, values: Float32Array): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(encodedBytes(name, values.length));
  encodeInto(name, values, payload);
  return payload;
}

/** As {@link encodeNumbers}, into memory that is there. @param payload of {@link encodedBytes} */
export function encodeInto(name: NumberCodecName, values: Float32Array, payload: Uint8Array): void {
  const { wanted } = kernels();
  encodeChunks(name, values.length, payload, (offset, count) => load(wanted, values, offset, count), nothing);
}

const nothing = (): void => {};

/** Shows a payload's numbers a chunk at a time. @throws HelioError HELIO-4004 when its size is wrong */
export function readNumbers(name: NumberCodecName, elements: number, payload: Uint8Array, visit: Visitor): void {
  const { front, all } = sizesOf(name, elements);
  if (payload.length !== all)
    throw malformed(`it has ${payload.length} bytes where ${elements} elements in ${name} take ${all}`);
  const { decoded, scales } = kernels();
  const coder = coderOf(name);
  for (let offset = 0; offset < elements; offset += CHUNK) {
    const count = Math.min(CHUNK, elements - offset);
    const blocks = wholeBlocks(count);
    if (SCALED[name]) scales.set(payload.subarray((4 * offset) / BLOCK, (4 * (offset + blocks)) / BLOCK));
    const start = front + (offset * BITS[name]) / 8;
    coder.expected.set(payload.subarray(start, start + Math.ceil((count * BITS[name]) / 8)));
    coder.decode(blocks);
    visit(decoded.subarray(0, count), offset);
  }
}

/** The codec of that name for fragments of so many numbers. */
export function numberCodec(name: NumberCodecName, elements: number): Codec {
  const bytes = encodedBytes(name, elements);
  return {
    name,
    elements,
    leastBytes: bytes,
    mostBytes: bytes,
    memoryElements: 0,
    send: (update) => sendNumbers(name, update),
    read: (payload, visit) => readNumbers(name, elements, payload, visit),
  };
}

/** Difference, encoding, and what is left over, all while a chunk is in the cache. */
function sendNumbers(name: NumberCodecName, update: Update): Sent {
  const { parameters, base, residual, sign, memory } = update;
  const { length } = parameters;
  const payload = new Uint8Array(encodedBytes(name, length));
  const { arrives, residual: left } = placesFor(update);
  const { loops, ...chunk } = kernels();
  const prepare = (offset: number, count: number): void => {
    load(chunk.wanted, parameters, offset, count);
    load(chunk.base, base, offset, count);
    load(chunk.residual, residual, offset, count);
    loops.prepare(wholeBlocks(count), sign);
  };
  const { echo } = coderOf(name);
  encodeChunks(name, length, payload, prepare, (offset, count) => {
    echo(wholeBlocks(count));
    loops.settle(wholeBlocks(count), sign);
    arrives.set(chunk.decoded.subarray(0, count), offset);
    left.set(chunk.residual.subarray(0, count), offset);
  });
  return { payload, arrives, residual: left, memory };
}

/** @param prepare puts a chunk's numbers, and zeros up to a whole block, into `wanted`; @param settle is told when it is encoded */
function encodeChunks(
  name: NumberCodecName,
  elements: number,
  payload: Uint8Array,
  prepare: (offset: number, count: number) => void,
  settle: (offset: number, count: number) => void,
): void {
  const { front } = sizesOf(name, elements);
  const coder = coderOf(name);
  const { scales } = kernels();
  for (let offset = 0; offset < elements; offset += CHUNK) {
    const count = Math.min(CHUNK, elements - offset);
    const blocks = wholeBlocks(count);
    prepare(offset, count);
    if (!coder.encode(blocks, count)) throw notFinite();
    if (SCALED[name]) payload.set(scales.subarray(0, (4 * blocks) / BLOCK), (4 * offset) / BLOCK);
    const start = front + (offset * BITS[name]) / 8;
    payload.set(coder.written.subarray(0, Math.ceil((count * BITS[name]) / 8)), start);
    settle(offset, count);
  }
  // What filled the last byte up is cleared, so that equal numbers are equal bytes.
  const bits = (elements * BITS[name]) % 8;
  if (bits > 0) payload[payload.length - 1]! &= 2 ** bits - 1;
}

/** Puts a part of an array into the kernels' memory, and zeros behind it up to a whole block. */
function load(into: Float32Array, from: Float32Array, offset: number, count: number): void {
  into.set(from.subarray(offset, offset + count));
  into.fill(0, count, wholeBlocks(count));
}
