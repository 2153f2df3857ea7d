import { closeSync, createReadStream, fstatSync, openSync, type ReadStream, readSync } from 'node:fs';
import { type Duplex, pipeline } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';

/**
 * A Zstandard file may be several frames one behind the other (pzstd writes such, and so does `cat a.zst b.zst`). Node's decompressor stops without a
 * word where the first one ends, so the frames are found here, by their headers and those of their blocks (RFC 8878, section 3.1), and each is
 * unpacked by itself.
 */

const MAGIC = 0xfd2fb528;
/** Frames with 0x184d2a50 to 0x184d2a5f hold no data. */
const SKIPPABLE = 0x184d2a5;

/** @throws Error when the file is no Zstandard, or is cut short */
export async function* unpackZstandard(file: string): AsyncGenerator<Uint8Array> {
  for (const { begin, end } of framesOf(file)) {
    yield* unpackedBy(createReadStream(file, { start: begin, end: end - 1 }), createZstdDecompress());
  }
}

/** What comes out of a decompressor, the errors of its input as well. Whoever stops reading ends both. */
export function unpackedBy(input: ReadStream, decompressor: Duplex): AsyncIterable<Uint8Array> {
  pipeline(input, decompressor, () => {});
  return decompressor;
}

interface Frame {
  readonly begin: number;
  readonly end: number;
}

function* framesOf(file: string): Generator<Frame> {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const bytes = (at: number, count: number): number => {
      if (at + count > size) throw new Error('it is cut short');
      const buffer = Buffer.alloc(count);
      readSync(descriptor, buffer, 0, count, at);
      return buffer.readUIntLE(0, count);
    };
    for (let begin = 0; begin < size; ) {
      const magic = bytes(begin, 4);
      if (magic >>> 4 === SKIPPABLE) {
        begin += 8 + bytes(begin + 4, 4);
        continue;
      }
      if (magic !== MAGIC) throw new Error(`at byte ${begin} there is no frame`);
      const end = frameEnd(begin, bytes);
      if (end > size) throw new Error('it is cut short');
      yield { begin, end };
      begin = end;
    }
  } finally {
    closeSync(descriptor);
  }
}

function frameEnd(begin: number, bytes: (at: number, count: number) => number): number {
  const flags = bytes(begin + 4, 1);
  const isSingleSegment = (flags & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3]!;
  const contentBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6]!;
  const checksumBytes = (flags & 4) === 0 ? 0 : 4;
  let at = begin + 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentBytes;
  for (;;) {
    const header = bytes(at, 3);
    const [isLast, kind, size] = [(header & 1) === 1, (header >> 1) & 3, header >> 3];
    if (kind === 3) throw new Error(`at byte ${at} there is a block of an unknown kind`);
    // A run of one byte is that byte and how often.
    at += 3 + (kind === 1 ? 1 : size);
    if (isLast) return at + checksumBytes;
  }
}
