/** How float32 numbers may travel; `outer/codecs` implements them, docs/protocol.md specifies them to the bit. */
export const NUMBER_CODECS = ['f32', 'f16', 'bf16', 'int8', 'int4', 'e3m0', 'int2', 'sign'] as const;
/** A codec that treats all numbers alike. */
export type NumberCodecName = (typeof NUMBER_CODECS)[number];

/**
 * A codec's whole name: of all numbers (`int4`), of the largest one in so many (`top-1/64+int4`), or of the factors of a
 * matrix of at most such a rank (`low-rank-8+int4`).
 */
export type CodecName =
  | NumberCodecName
  | `top-1/${number}+${NumberCodecName}`
  | `low-rank-${number}+${NumberCodecName}`;

export const CODEC_PATTERN =
  /^(?:top-1\/([2-9]|[1-9]\d|[1-9]\d{2}|[1-3]\d{3}|40[0-8]\d|409[0-6])\+|low-rank-([1-9]|[1-9]\d|1\d{2}|2[0-4]\d|25[0-6])\+)?(f32|f16|bf16|int8|int4|e3m0|int2|sign)$/;

export type CodecParts =
  | { readonly kind: 'numbers'; readonly numbers: NumberCodecName }
  /** Of every 4,096 numbers the largest, one in `oneIn`. */
  | { readonly kind: 'top'; readonly oneIn: number; readonly numbers: NumberCodecName }
  | { readonly kind: 'low-rank'; readonly rank: number; readonly numbers: NumberCodecName };

/** Takes a name apart. @param name matches {@link CODEC_PATTERN}, by the caller's check */
export function codecParts(name: CodecName): CodecParts {
  const [, oneIn, rank, numbers] = CODEC_PATTERN.exec(name)!;
  const plain = numbers as NumberCodecName;
  if (oneIn !== undefined) return { kind: 'top', oneIn: Number(oneIn), numbers: plain };
  if (rank !== undefined) return { kind: 'low-rank', rank: Number(rank), numbers: plain };
  return { kind: 'numbers', numbers: plain };
}
