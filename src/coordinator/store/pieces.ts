import { createHash } from 'node:crypto';
import { HelioError } from '../../errors.ts';
import { hashOf, type Pieces } from './blobs.ts';

/** Shared by the streaming methods of all blob stores: cutting, joining and checking. */

/** @throws HelioError HELIO-3001 when the bytes are not those of that name */
export function verify(hash: string, bytes: Uint8Array, place: string): Uint8Array {
  if (hashOf(bytes) === hash) return bytes;
  throw damaged(place, 'its SHA-256 is another');
}

/** Passes pieces on, and fails at the end when they are not those of that name (and size, where it is known). */
export async function* verified(
  hash: string,
  size: number | undefined,
  pieces: Pieces,
  place: string,
): AsyncGenerator<Uint8Array> {
  const sum = createHash('sha256');
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    // Told before anything is written that was never promised.
    if (size !== undefined && length > size) throw damaged(place, `there is more of it than ${size} bytes`);
    sum.update(piece);
    yield piece;
  }
  if (size !== undefined && length !== size) throw damaged(place, `there are ${length} bytes of it instead of ${size}`);
  if (sum.digest('hex') !== hash) throw damaged(place, 'its SHA-256 is another');
}

/** The same bytes in pieces of exactly `length`, but for the last. */
export async function* recut(pieces: Pieces, length: number): AsyncGenerator<Uint8Array> {
  let part = new Uint8Array(length);
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const taken = Math.min(length - filled, piece.length - at);
      part.set(piece.subarray(at, at + taken), filled);
      at += taken;
      filled += taken;
      if (filled < length) continue;
      yield part;
      part = new Uint8Array(length);
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}

/** All of them in one, of a size that was checked. */
export async function joined(size: number, pieces: Pieces): Promise<Uint8Array> {
  const whole = new Uint8Array(size);
  let at = 0;
  for await (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const damaged = (place: string, why: string): HelioError =>
  new HelioError(
    'HELIO-3001',
    `${place} is damaged: ${why}.`,
    'Restore it from a copy (`heliotrope runs import`), or resume from an earlier checkpoint.',
  );
