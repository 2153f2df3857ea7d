import { type CodecName, codecParts } from '../../protocol/codec-names.ts';
import type { Fragment } from '../fragments.ts';
import type { Codec } from './codec.ts';
import { lowRankCodec } from './low-rank.ts';
import { numberCodec } from './numbers.ts';
import { topCodec } from './top.ts';

export { type Codec, decodeAll, malformed, type Sent, type Update } from './codec.ts';
export { addChunk, addDifference, differenceTo, squaresOf } from './sums.ts';

/** The codec of that name for a fragment. */
export function codecFor(name: CodecName, fragment: Fragment): Codec {
  const parts = codecParts(name);
  switch (parts.kind) {
    case 'numbers':
      return numberCodec(parts.numbers, fragment.elements);
    case 'top':
      return topCodec(parts.oneIn, parts.numbers, fragment.elements);
    case 'low-rank':
      return lowRankCodec(parts.rank, parts.numbers, fragment);
  }
}
