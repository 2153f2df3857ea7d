import { createHash } from 'node:crypto';

/** Large bytes by their SHA-256: checkpoints' tensors and merged pseudo-gradients. What has a name never changes. */
export interface BlobStore {
  /** Resolves when it outlives a power cut. */
  put(hash: string, bytes: Uint8Array): Promise<void>;
  /**
   * The same for what is too large to be held whole.
   *
   * @param size of all pieces together; they may be of any lengths
   * @throws HelioError HELIO-3001 when the pieces are not those of that name and size; nothing is kept of them then
   */
  putPieces(hash: string, size: number, pieces: Pieces): Promise<void>;
  /** @throws HelioError HELIO-3001 when it is missing or damaged */
  get(hash: string): Promise<Uint8Array>;
  /**
   * The same in pieces of at most {@link PIECE_BYTES}. Its name is checked at the end: nothing that was read counts before the last
   * piece is there and the iteration has ended without an error.
   */
  getPieces(hash: string): AsyncIterable<Uint8Array>;
  delete(hash: string): Promise<void>;
  list(): Promise<readonly string[]>;
  /** Removes what processes that were killed have left half-written. */
  tidy(): Promise<void>;
  /** @throws HelioError when the store cannot be used right now; it answers within a few seconds */
  ping(): Promise<void>;
}

export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Most bytes of a large blob that are held at once. */
export const PIECE_BYTES = 2 ** 24;

/** SHA-256 of bytes that are all here. */
export function hashOf(bytes: Uint8Array): string {
  const hash = createHash('sha256');
  // One update takes less than 2 GiB.
  for (let at = 0; at < bytes.length; at += UPDATE_BYTES) hash.update(bytes.subarray(at, at + UPDATE_BYTES));
  return hash.digest('hex');
}
const UPDATE_BYTES = 2 ** 30;

/** A blob's name. */
export const NAME = /^[0-9a-f]{64}$/;
