import { Aggregation, type PayloadBuffer } from '../../src/coordinator/aggregation.ts';
import { codecFor } from '../../src/outer/codecs/index.ts';
import { packUpdate, packWhole } from '../../src/outer/encoded-fragment.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';
import type { CodecName } from '../../src/protocol/codec-names.ts';
import type { EncodedFragment } from '../../src/protocol/frame.ts';

/** An aggregation with one fragment of so many numbers, and contributions to it. */
export function aggregationOf(elements: number, codec: CodecName, newBuffer?: () => PayloadBuffer) {
  const fragment: Fragment = {
    index: 0,
    elements,
    tensors: [{ name: 'w', elements, rows: 1, role: 'other' }],
  };
  const settings = {
    ...STRATEGIES.diloco({ islands: 4, steps: 100, inner: 'adamw' }),
    upCodec: codec,
    downCodec: 'f32',
    rate: 0.7,
  } as const;
  const parameters = Float32Array.from({ length: elements }, (_, i) => Math.sin(i));
  const aggregation = new Aggregation([fragment], settings, { parameters: new Map([['w', parameters]]) }, newBuffer);
  return { aggregation, fragment, parameters };
}

/** An island's contribution: where it is, a little away from `base`. */
export function contribution(
  fragment: Fragment,
  base: Float32Array,
  codec: CodecName,
  island: number,
): EncodedFragment {
  const own = base.map((x, i) => x + 1e-3 * Math.cos(i * (island + 1)));
  if (codec === 'f32') return packWhole(own);
  const coder = codecFor(codec, fragment);
  const nothing = new Float32Array(fragment.elements);
  const memory = new Float32Array(coder.memoryElements);
  return packUpdate(coder, { parameters: own, base, residual: nothing, sign: -1, memory }).encoded;
}
