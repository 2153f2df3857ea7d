/** How float32 numbers may travel; `outer/codecs` implements them, docs/protocol.md specifies them to the bit. */
export const CODEC_NAMES = ['f32', 'f16', 'bf16', 'int8', 'int4', 'e3m0'] as const;
export type CodecName = (typeof CODEC_NAMES)[number];
