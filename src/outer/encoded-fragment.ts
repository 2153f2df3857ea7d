import { HelioError } from '../errors.ts';
import type { EncodedFragment } from '../protocol/frame.ts';
import { addChunk, addDifference, type Codec, differenceTo, squaresOf, type Update } from './codecs/index.ts';
import { encodeNumbers, readNumbers } from './codecs/numbers.ts';
import type { PseudoGradient } from './merge.ts';

/** An encoded fragment, what its receiver will decode, and what its sender keeps for the next one (error feedback). */
export interface Packed {
  readonly encoded: EncodedFragment;
  readonly arrives: Float32Array;
  readonly residual: Float32Array;
  readonly memory: Float32Array;
}

/** Encodes the parameters themselves: exact, and needs no base. */
export const packWhole = (parameters: Float32Array): EncodedFragment => ({
  form: 'parameters',
  codec: 'f32',
  payload: encodeNumbers('f32', parameters),
});

/** Encodes a fragment as its difference to `base`, with error feedback. */
export function packUpdate(codec: Codec, update: Update): Packed {
  const { payload, ...rest } = codec.send(update);
  return { encoded: { form: 'update', codec: codec.name, payload }, ...rest };
}

/**
 * Opens a fragment that came from outside.
 *
 * @param codec the one that the encoded fragment names, of the fragment
 * @throws HelioError HELIO-4004 when it is malformed, HELIO-4008 when it holds a number that is not finite
 */
export function openFragment(encoded: EncodedFragment, codec: Codec, base: Float32Array): Float32Array {
  const parameters = new Float32Array(codec.elements);
  eachChunk(encoded, codec, (chunk, offset) => {
    requireFinite(squaresOf(chunk));
    if (encoded.form === 'parameters') parameters.set(chunk, offset);
    else for (let i = 0; i < chunk.length; i++) parameters[offset + i] = base[offset + i]! + chunk[i]!;
  });
  return parameters;
}

/**
 * An island's pseudo-gradient as it came: checked and measured now, unpacked only when it is merged.
 *
 * @param theta what it is the difference to, where it holds the island's parameters themselves
 * @throws HelioError HELIO-4004 as {@link openFragment}
 */
export function openContribution(encoded: EncodedFragment, codec: Codec, theta: Float32Array): PseudoGradient {
  let squares = 0;
  eachChunk(encoded, codec, (chunk, offset) => {
    if (encoded.form === 'parameters') differenceTo(theta, chunk, offset);
    squares += squaresOf(chunk);
  });
  requireFinite(squares);
  return { squares, addTo: (sum, scale) => addContribution(encoded, codec, theta, sum, scale) };
}

/** sum ← sum + scale · Δₘ, of a contribution that was opened before. */
export function addContribution(
  encoded: Pick<EncodedFragment, 'form' | 'payload'>,
  codec: Codec,
  theta: Float32Array,
  sum: Float32Array,
  scale: number,
): void {
  const whole = encoded.form === 'parameters';
  eachChunk(encoded, codec, (chunk, offset) => {
    if (whole) addDifference(sum, theta, chunk, offset, scale);
    else addChunk(sum, chunk, offset, scale);
  });
}

function requireFinite(squares: number): void {
  if (Number.isFinite(squares)) return;
  const what = 'A fragment cannot be used: it holds numbers that are not finite.';
  throw new HelioError('HELIO-4008', what, 'Training diverged where it comes from: lower inner.rate.');
}

function eachChunk(
  { form, payload }: Pick<EncodedFragment, 'form' | 'payload'>,
  codec: Codec,
  visit: (chunk: Float32Array, offset: number) => void,
): void {
  if (form === 'parameters') readNumbers('f32', codec.elements, payload, visit);
  else codec.read(payload, visit);
}
