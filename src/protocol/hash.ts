/**
 * What bulk data are called by: SHA-256 over the SHA-256s of their pieces. So hashing goes on while the pieces come, on as many threads as there are
 * (WebCrypto, in Node and in a browser), nothing has to be held whole, and whoever relays a payload can check each piece.
 */

/** Bytes of a piece; the last one of a payload is shorter. */
export const PIECE_BYTES = 1024 * 1024;

/** A SHA-256 in hexadecimal digits. */
export const HASH_PATTERN = /^[0-9a-f]{64}$/;

const digest = async (bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const hex = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += HEX[byte]!;
  return text;
};

/** Takes a payload piece by piece. The bytes of a piece are read at once: the caller may write over them. */
export class PieceHasher {
  readonly #pieces: Promise<Uint8Array>[] = [];
  #open = 0;

  /** Pieces that are still being hashed: each is a copy. */
  get open(): number {
    return this.#open;
  }

  /** @param piece of {@link PIECE_BYTES}, but for the last one */
  add(piece: Uint8Array): void {
    const hash = digest(piece);
    // Whoever asks for the end hears of a failure.
    this.#open++;
    hash.then(
      () => this.#open--,
      () => this.#open--,
    );
    this.#pieces.push(hash);
  }

  /** Resolves when all pieces so far are hashed. */
  async soFar(): Promise<void> {
    await this.#pieces.at(-1);
  }

  async end(): Promise<string> {
    const hashes = await Promise.all(this.#pieces);
    const joined = new Uint8Array(32 * hashes.length);
    for (const [i, hash] of hashes.entries()) joined.set(hash, 32 * i);
    return hex(await digest(joined));
  }
}

/** Pieces that are hashed at once: WebCrypto copies what it is given. */
const AT_ONCE = 16;

/** The hash of a payload that is there whole, or is read piece by piece. An empty one has no pieces. */
export async function contentHash(payload: {
  readonly length: number;
  subarray(begin: number, end: number): Uint8Array;
}): Promise<string> {
  const hasher = new PieceHasher();
  for (let at = 0, count = 1; at < payload.length; at += PIECE_BYTES, count++) {
    hasher.add(payload.subarray(at, at + PIECE_BYTES));
    if (count % AT_ONCE === 0) await hasher.soFar();
  }
  return hasher.end();
}
