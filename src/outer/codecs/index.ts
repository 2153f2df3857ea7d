import type { CodecName } from '../../protocol/codec-names.ts';
import { e3m0, int4, int8 } from './block.ts';
import type { Codec } from './codec.ts';
import { bf16, f16, f32 } from './plain.ts';

export type { Codec } from './codec.ts';

export const codecs: Readonly<Record<CodecName, Codec>> = { f32, f16, bf16, int8, int4, e3m0 };

/**
 * Encodes `update + residual` and returns what the other side will read, and what is left over for the next time
 * (error feedback: Seide et al. 2014; Karimireddy et al., arXiv 1901.09847). Nothing is lost, only late.
 */
export function encodeWithFeedback(
  codec: Codec,
  update: Float32Array,
  residual: Float32Array,
): { readonly payload: Uint8Array<ArrayBuffer>; readonly decoded: Float32Array; readonly residual: Float32Array } {
  const wanted = new Float32Array(update.length);
  for (let i = 0; i < wanted.length; i++) wanted[i] = update[i]! + residual[i]!;
  const payload = codec.encode(wanted);
  const decoded = codec.decode(payload, wanted.length);
  for (let i = 0; i < wanted.length; i++) wanted[i]! -= decoded[i]!;
  return { payload, decoded, residual: wanted };
}
