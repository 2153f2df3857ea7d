import { writePieces } from '../../files.ts';
import { elementsOf } from './parameters.ts';
import { inMemory, type TensorSource } from './tensor-source.ts';

/** A tensor that is in memory. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Bytes of a piece at most; a whole number of singles. */
const PIECE_BYTES = 2 ** 26;

/**
 * A safetensors file of float32 tensors that is written nowhere yet: 8 bytes of header length (little-endian), a JSON header, then the raw
 * tensors. Any part of it can be had without the rest, so that it may be larger than memory.
 */
export interface SafetensorsLayout {
  readonly length: number;
  /** A copy of its bytes from `begin` until `end`. */
  subarray(begin: number, end: number): Uint8Array<ArrayBuffer>;
  /** All of it in order. */
  pieces(): Iterable<Uint8Array>;
}

interface Part {
  readonly begin: number;
  readonly end: number;
  /** Bytes of the part, counted from its own beginning. */
  read(begin: number, end: number): Uint8Array;
}

/** @param metadata of strings, by the format's rule */
export function layOutSafetensors(
  tensors: ReadonlyMap<string, TensorSource>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): SafetensorsLayout {
  const places: [string, unknown][] = [['__metadata__', metadata]];
  const sources: { readonly source: TensorSource; readonly offset: number; readonly bytes: number }[] = [];
  let offset = 0;
  for (const [name, source] of tensors) {
    const bytes = 4 * elementsOf(source);
    places.push([name, { dtype: 'F32', shape: source.shape, data_offsets: [offset, offset + bytes] }]);
    sources.push({ source, offset, bytes });
    offset += bytes;
  }
  const header = encodeHeader(Object.fromEntries(places));
  const body = sources.map(({ source, offset: at, bytes }): Part => {
    const begin = header.length + at;
    return { begin, end: begin + bytes, read: (from, to) => bytesOf(source, from, to) };
  });
  const parts = [{ begin: 0, end: header.length, read: header.subarray.bind(header) }, ...body];
  return {
    length: header.length + offset,
    subarray: (begin, end) => cut(parts, begin, Math.min(end, header.length + offset)),
    *pieces() {
      for (const { begin, end, read } of parts)
        for (let at = 0; at < end - begin; at += PIECE_BYTES) yield read(at, Math.min(end - begin, at + PIECE_BYTES));
    },
  };
}

/** Padding with spaces keeps the tensors aligned to 8 bytes, as the reference writer does. */
function encodeHeader(header: Readonly<Record<string, unknown>>): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20, 8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  return bytes;
}

/** The parts that have something between `begin` and `end`, joined. */
function cut(parts: readonly Part[], begin: number, end: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(0, end - begin));
  for (let i = firstEndingAfter(parts, begin); i < parts.length && parts[i]!.begin < end; i++) {
    const part = parts[i]!;
    const [from, to] = [Math.max(begin, part.begin), Math.min(end, part.end)];
    if (from < to) bytes.set(part.read(from - part.begin, to - part.begin), from - begin);
  }
  return bytes;
}

function firstEndingAfter(parts: readonly Part[], at: number): number {
  let [low, high] = [0, parts.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (parts[middle]!.end > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Bytes of a tensor, which need not begin or end between two numbers. */
function bytesOf(source: TensorSource, begin: number, end: number): Uint8Array {
  const first = Math.floor(begin / 4);
  const data = source.read(first, Math.ceil(end / 4));
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).subarray(begin - 4 * first, end - 4 * first);
}

/** Encodes tensors into one array. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const layout = layOutSafetensors(
    new Map([...tensors].map(([name, { shape, data }]) => [name, inMemory(shape, data)])),
    metadata,
  );
  return layout.subarray(0, layout.length);
}

/**
 * Writes a file whole or not at all, piece by piece.
 *
 * @throws HelioError HELIO-3002 (no space), HELIO-3003 (no permission), HELIO-3004; and what reading a source throws
 */
export function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, TensorSource>,
  metadata?: Readonly<Record<string, string>>,
): void {
  writePieces(file, layOutSafetensors(tensors, metadata).pieces());
}
