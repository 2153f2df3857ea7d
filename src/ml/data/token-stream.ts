/** Token ids end to end. A number may carry {@link SILENT}: it is read, but what should be said before it does not count. */
export interface TokenStream {
  readonly length: number;
  /** A copy of `count` numbers from place `from` on; both within the length. */
  read(from: number, count: number): Uint32Array;
  /** Lets its file go, where it has one. */
  close?(): void;
}

/** Marks a token that the model is not trained to say: that of a prompt. */
export const SILENT = 0x8000_0000;
export const idOf = (token: number): number => (token & 0x7fff_ffff) >>> 0;
export const isSilent = (token: number): boolean => token >= SILENT;

export const streamOf = (tokens: Uint32Array): TokenStream => ({
  length: tokens.length,
  read: (from, count) => tokens.slice(from, from + count),
});
