import { HelioError } from '../errors.ts';
import type { CodecName } from '../protocol/codec-names.ts';
import type { Parcel } from '../protocol/frame.ts';
import { codecs, encodeWithFeedback } from './codecs/index.ts';

/**
 * Packs a fragment for the wire: whole in float32 with codec f32, otherwise as its difference to `base` with error
 * feedback.
 *
 * @param sign −1 for an island's pseudo-gradient base − parameters, 1 for an update parameters − base
 * @returns the parcel, what its reader will have, and the residual to keep
 */
export function packParcel(
  codec: CodecName,
  parameters: Float32Array,
  base: Float32Array,
  residual: Float32Array,
  sign: 1 | -1,
): { readonly parcel: Parcel; readonly arrives: Float32Array; readonly residual: Float32Array } {
  if (codec === 'f32') {
    return {
      parcel: { form: 'parameters', codec, payload: codecs.f32.encode(parameters) },
      arrives: parameters,
      residual,
    };
  }
  const update = new Float32Array(base.length);
  for (let i = 0; i < update.length; i++) update[i] = sign * (parameters[i]! - base[i]!);
  const sent = encodeWithFeedback(codecs[codec], update, residual);
  const parcel: Parcel = { form: 'update', codec, payload: sent.payload };
  return { parcel, arrives: added(base, sent.decoded, sign), residual: sent.residual };
}

/**
 * Opens a parcel that came from outside.
 *
 * @throws HelioError HELIO-4004 when its size is not that of `base`, or it holds a number that is not finite
 */
export function openParcel({ form, codec, payload }: Parcel, base: Float32Array, sign: 1 | -1): Float32Array {
  const expected = codecs[codec].encodedBytes(base.length);
  if (payload.length !== expected) {
    throw foreign(`it has ${payload.length} bytes where ${base.length} elements in ${codec} take ${expected}`);
  }
  const values = codecs[codec].decode(payload, base.length);
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw foreign('it holds numbers that are not finite');
  }
  return form === 'parameters' ? values : added(base, values, sign);
}

/** base + sign · update, the same bits on both sides of the wire. */
function added(base: Float32Array, update: Float32Array, sign: 1 | -1): Float32Array {
  const sum = new Float32Array(base.length);
  for (let i = 0; i < sum.length; i++) sum[i] = base[i]! + sign * update[i]!;
  return sum;
}

const foreign = (detail: string): HelioError =>
  new HelioError(
    'HELIO-4004',
    `A fragment cannot be read: ${detail}.`,
    'Both sides must run the same version and the same run.',
  );
