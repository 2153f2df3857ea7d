import { HelioError } from '../../errors.ts';
import type { CodecName } from '../../protocol/codec-names.ts';

/**
 * How the float32 numbers of one fragment travel. Every codec is specified to the bit, with test vectors, in docs/protocol.md.
 * Payloads are read and written a chunk at a time, so that beside the payload itself no more memory is needed than a chunk's.
 */
export interface Codec {
  readonly name: CodecName;
  /** Numbers of the fragment. */
  readonly elements: number;
  /** Bytes that a payload may have; for most codecs always the same. */
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Numbers that a sender keeps from one payload to the next beside its residual ({@link Codec.send}). */
  readonly memoryElements: number;
  /**
   * Encodes sign · (parameters − base) + residual.
   *
   * @throws HelioError HELIO-2002 when a number is not finite
   */
  send(update: Update): Sent;
  /**
   * Shows the numbers of a payload from first to last, a chunk at a time; a chunk is valid only until the visitor returns.
   *
   * @throws HelioError HELIO-4004 when the payload is not one of this codec
   */
  read(payload: Uint8Array, visit: Visitor): void;
}

export type Visitor = (chunk: Float32Array, offset: number) => void;

/** A fragment as it is, as its reader knows it, and what earlier updates have left over. All packed. */
export interface Update {
  readonly parameters: Float32Array;
  readonly base: Float32Array;
  /** Error feedback (Seide et al. 2014; Karimireddy et al., arXiv 1901.09847): nothing is lost, only late. */
  readonly residual: Float32Array;
  /** −1 for a pseudo-gradient base − parameters, 1 for an update parameters − base. */
  readonly sign: 1 | -1;
  /** What the codec kept from the last payload; of {@link Codec.memoryElements}, zeros at first. */
  readonly memory: Float32Array;
  /** Whether what arrives is written over `base`, and what is left over over `residual`: a large fragment's memory is not touched anew for each. */
  readonly inPlace?: boolean;
}

export interface Sent {
  readonly payload: Uint8Array<ArrayBuffer>;
  /** base + sign · what was encoded: what the reader will have, to the bit. */
  readonly arrives: Float32Array;
  readonly residual: Float32Array;
  readonly memory: Float32Array;
}

/** Numbers that share one scale. */
export const BLOCK = 256;

export const wholeBlocks = (elements: number): number => BLOCK * Math.ceil(elements / BLOCK);

export const notFinite = (): HelioError =>
  new HelioError('HELIO-2002', 'A number to be sent is not finite.', 'Training diverged: lower inner.rate.');

export const malformed = (detail: string): HelioError =>
  new HelioError(
    'HELIO-4004',
    `A fragment cannot be read: ${detail}.`,
    'Both sides must run the same version and the same run.',
  );

/** sign · (parameters − base) + residual. */
export function wantedOf({ parameters, base, residual, sign }: Update): Float32Array {
  const wanted = new Float32Array(parameters.length);
  // Rounded after each operation, as the kernels do.
  for (let i = 0; i < wanted.length; i++)
    wanted[i] = Math.fround(sign * Math.fround(parameters[i]! - base[i]!)) + residual[i]!;
  return wanted;
}

/** Where a codec puts what arrives and what is left over. */
export function placesFor({ base, residual, inPlace = false }: Update): Pick<Sent, 'arrives' | 'residual'> {
  if (inPlace) return { arrives: base, residual };
  return { arrives: new Float32Array(base.length), residual: new Float32Array(base.length) };
}

/** What a codec that encodes whole fragments gives back. */
export function settled(
  update: Update,
  wanted: Float32Array,
  decoded: Float32Array,
  payload: Uint8Array<ArrayBuffer>,
  memory: Float32Array,
): Sent {
  const { base, sign } = update;
  const { arrives, residual } = placesFor(update);
  for (let i = 0; i < wanted.length; i++) {
    residual[i] = wanted[i]! - decoded[i]!;
    arrives[i] = base[i]! + sign * decoded[i]!;
  }
  return { payload, arrives, residual, memory };
}

/** All numbers of a payload. */
export function decodeAll(codec: Codec, payload: Uint8Array): Float32Array<ArrayBuffer> {
  const all = new Float32Array(codec.elements);
  codec.read(payload, (chunk, offset) => all.set(chunk, offset));
  return all;
}
