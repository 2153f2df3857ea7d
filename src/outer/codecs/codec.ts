import { HelioError } from '../../errors.ts';
import type { CodecName } from '../../protocol/codec-names.ts';

/** How float32 numbers travel. Every codec is specified to the bit, with test vectors, in docs/protocol.md. */
export interface Codec {
  readonly name: CodecName;
  /** Bytes that `elements` numbers take. */
  encodedBytes(elements: number): number;
  /** @throws HelioError HELIO-2002 when a number is not finite */
  encode(values: Float32Array): Uint8Array<ArrayBuffer>;
  /** @param bytes exactly {@link encodedBytes} of them, by the caller's check */
  decode(bytes: Uint8Array, elements: number): Float32Array;
}

/** Numbers that share one scale in the block codecs. */
export const BLOCK = 256;

export const blocksOf = (elements: number): number => Math.ceil(elements / BLOCK);

/** The largest magnitude of a block. */
export function blockMaximum(values: Float32Array, block: number): number {
  const end = Math.min(values.length, (block + 1) * BLOCK);
  let max = 0;
  for (let i = block * BLOCK; i < end; i++) {
    const magnitude = Math.abs(values[i]!);
    if (!(magnitude < Number.POSITIVE_INFINITY)) throw notFinite(values[i]!);
    if (magnitude > max) max = magnitude;
  }
  return max;
}

export const notFinite = (value: number): HelioError =>
  new HelioError('HELIO-2002', `A number to be sent is ${value}.`, 'Training diverged: lower inner.rate.');

/** Blocks' scales as float32 at the front of the payload, the codes behind them. */
export function scalesAndCodes(
  bytes: Uint8Array,
  elements: number,
): { readonly scales: DataView; readonly codes: Uint8Array } {
  const front = 4 * blocksOf(elements);
  return { scales: new DataView(bytes.buffer, bytes.byteOffset, front), codes: bytes.subarray(front) };
}
