import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { HelioError } from '../../errors.ts';
import { idOf, isSilent, SILENT, type TokenStream } from './token-stream.ts';

/**
 * Tokens in a file of little-endian uint16 (highest bit: silent) or uint32. Node maps no files into memory; what is read
 * by place comes from the system's page cache all the same, and none of it is held here (docs/decisions/0007-token-files.md).
 *
 * @throws HelioError HELIO-3001 when the file's size is not what was promised
 */
export class TokenFile implements TokenStream {
  readonly length: number;
  readonly #descriptor: number;
  readonly #bytesPerToken: 2 | 4;

  constructor(file: string, length: number, bytesPerToken: 2 | 4) {
    this.#descriptor = openSync(file, 'r');
    this.#bytesPerToken = bytesPerToken;
    this.length = length;
    const { size } = fstatSync(this.#descriptor);
    if (size === length * bytesPerToken) return;
    this.close();
    throw new HelioError(
      'HELIO-3001',
      `${file} has ${size} bytes where ${length * bytesPerToken} belong.`,
      'Delete its folder: the text is then tokenized again.',
    );
  }

  read(from: number, count: number): Uint32Array {
    const bytes = new Uint8Array(count * this.#bytesPerToken);
    for (let at = 0; at < bytes.length; ) {
      const got = readSync(this.#descriptor, bytes, at, bytes.length - at, from * this.#bytesPerToken + at);
      if (got === 0) throw new RangeError(`tokens ${from} to ${from + count} of ${this.length}`);
      at += got;
    }
    if (this.#bytesPerToken === 4) return new Uint32Array(bytes.buffer);
    return Uint32Array.from(new Uint16Array(bytes.buffer), (t) => (t >= 0x8000 ? (t & 0x7fff) + SILENT : t));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** The bytes of tokens as {@link TokenFile} reads them. */
export function encodeTokens(tokens: Uint32Array, bytesPerToken: 2 | 4): Uint8Array {
  if (bytesPerToken === 4) return new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  const narrow = Uint16Array.from(tokens, (t) => idOf(t) + (isSilent(t) ? 0x8000 : 0));
  return new Uint8Array(narrow.buffer);
}
