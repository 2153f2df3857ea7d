import { KERNELS_BASE64 } from './kernels-wasm.ts';

/** Numbers that the kernels work on at once: a multiple of a block, small enough for a processor's cache. */
export const CHUNK = 32_768;

/** The compiled inner loops (kernels/codecs.ts) and the memory that they work on. Nothing in it outlives a call of the codecs. */
export interface Kernels {
  readonly loops: Loops;
  /** Sign · (parameters − base) + residual: what is to be sent; parameters before {@link Loops.prepare}. */
  readonly wanted: Float32Array;
  readonly base: Float32Array;
  readonly residual: Float32Array;
  readonly decoded: Float32Array;
  readonly sum: Float32Array;
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
}

/** Counts are multiples of a block; encoders and `finite` answer 0 where a number is not finite. */
export interface Loops {
  prepare(count: number, sign: number): void;
  settle(count: number, sign: number): void;
  difference(count: number): void;
  accumulate(count: number, weight: number): void;
  accumulateDifference(count: number, weight: number): void;
  squares(count: number): number;
  finite(count: number): number;
  encodeBf16(count: number): number;
  decodeBf16(count: number): void;
  encodeInt8(count: number): number;
  decodeInt8(count: number): void;
  encodeInt4(count: number): number;
  decodeInt4(count: number): void;
  encodeE3m0(count: number): number;
  decodeE3m0(count: number): void;
  /** @param elements those of the chunk that are not filled up */
  encodeInt2(count: number, elements: number): number;
  decodeInt2(count: number): void;
  encodeSign(count: number, elements: number): number;
  decodeSign(count: number): void;
}

/** The part of WebAssembly's interface that is needed here. Every runtime has it; TypeScript declares it only with the DOM. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
};

let shared: Kernels | undefined;

/** The kernels of this thread, compiled at the first call. */
export function kernels(): Kernels {
  shared ??= instantiate();
  return shared;
}

function instantiate(): Kernels {
  const bytes = Uint8Array.from(atob(KERNELS_BASE64), (character) => character.charCodeAt(0));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  const { buffer } = exports.memory as { readonly buffer: ArrayBuffer };
  const place = (name: string): number => (exports[name] as { readonly value: number }).value;
  const floats = (name: string): Float32Array => new Float32Array(buffer, place(name), CHUNK);
  return {
    loops: exports as unknown as Loops,
    wanted: floats('WANTED'),
    base: floats('BASE'),
    residual: floats('RESIDUAL'),
    decoded: floats('DECODED'),
    sum: floats('SUM'),
    codes: new Uint8Array(buffer, place('CODES'), 2 * CHUNK),
    scales: new Uint8Array(buffer, place('SCALES'), CHUNK / 64),
  };
}
