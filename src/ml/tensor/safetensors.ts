import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { HelioError } from '../../errors.ts';
import { bfloat16ToFloat32, float16ToFloat32 } from './half.ts';
import { elementsOf } from './parameters.ts';
import type { StoredTensor } from './safetensors-layout.ts';
import type { TensorSource } from './tensor-source.ts';

/** Reading of the safetensors format (`safetensors-layout.ts` writes it). */

/** A file whose header was found to be sound; a tensor's numbers are read when they are asked for. */
export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** As the format calls them: F32, BF16, U8 … */
  readonly types: ReadonlyMap<string, string>;
  /** As float32. Halves are widened, doubles rounded; who reads another type is refused: files may hold masks and counters that nobody needs. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
  /** A whole tensor. */
  read(name: string): Float32Array;
  close(): void;
}

/** The format's own limit on the header. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bytes of one read at most: the system takes less than 2 GiB. */
const READ_BYTES = 2 ** 30;
/** Numbers of another type that are converted at a time. */
const WIDEN_ELEMENTS = 2 ** 24;

/** Bytes of a number of each type of the format. */
const BYTES: ReadonlyMap<unknown, number> = new Map([
  ...['F64', 'I64', 'U64'].map((type) => [type, 8] as const),
  ...['F32', 'I32', 'U32'].map((type) => [type, 4] as const),
  ...['F16', 'BF16', 'I16', 'U16'].map((type) => [type, 2] as const),
  ...['BOOL', 'U8', 'I8', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0'].map((type) => [type, 1] as const),
]);
/** Types that are read. */
export const FLOAT_TYPES: readonly string[] = ['F32', 'F16', 'BF16', 'F64'];

/**
 * A file that is in memory; what is read of it is a copy.
 *
 * @param source the file's name, for messages
 * @throws HelioError HELIO-3001 when the file is truncated, foreign or holds another type
 */
export const readSafetensors = (file: Uint8Array, source: string): Safetensors =>
  open(
    { length: file.length, read: (begin, end) => new Uint8Array(file.subarray(begin, end)), close: () => {} },
    source,
  );

/**
 * Decodes a file of float tensors that is in memory, whole.
 *
 * @throws HelioError as {@link readSafetensors}
 */
export function decodeSafetensors(
  file: Uint8Array,
  source: string,
): { tensors: ReadonlyMap<string, StoredTensor>; metadata: Readonly<Record<string, string>> } {
  const opened = readSafetensors(file, source);
  const tensors = new Map([...opened.shapes].map(([name, shape]) => [name, { shape, data: opened.read(name) }]));
  return { tensors, metadata: opened.metadata };
}

/**
 * Opens a file of any size: its header is read and checked against the file's size, its tensors are not read yet.
 *
 * @throws HelioError HELIO-3001 when it is unreadable, truncated, foreign or holds another type
 */
export function openSafetensors(file: string): Safetensors {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    throw damaged(file, `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
  const source: ByteSource = {
    length: fstatSync(descriptor).size,
    read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      for (let at = 0; at < bytes.length; ) {
        const got = readSync(descriptor, bytes.subarray(at, at + READ_BYTES), { position: begin + at });
        if (got === 0) throw damaged(file, `it ends at byte ${begin + at}`);
        at += got;
      }
      return bytes;
    },
    close: () => closeSync(descriptor),
  };
  try {
    return open(source, file);
  } catch (error) {
    source.close();
    throw error;
  }
}

interface ByteSource {
  readonly length: number;
  /** A copy. */
  read(begin: number, end: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function open(bytes: ByteSource, source: string): Safetensors {
  if (bytes.length < 8) throw damaged(source, `${bytes.length} bytes where the header's length should be`);
  const headerBytes = Number(new DataView(bytes.read(0, 8).buffer).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > bytes.length) {
    throw damaged(source, `its header says ${headerBytes} bytes and the file has ${bytes.length}`);
  }
  const { metadata, entries } = readHeader(bytes.read(8, 8 + headerBytes), 8 + headerBytes, bytes.length, source);
  const tensors = new Map([...entries].map(([name, entry]) => [name, tensorAt(bytes, entry, name, source)]));
  return {
    metadata,
    types: new Map([...entries].map(([name, { dtype }]) => [name, dtype])),
    shapes: new Map([...entries].map(([name, { shape }]) => [name, shape])),
    tensors,
    read(name) {
      const tensor = tensors.get(name)!;
      return tensor.read(0, elementsOf(tensor));
    },
    close: () => bytes.close(),
  };
}

function tensorAt(bytes: ByteSource, { dtype, shape, begin }: Entry, name: string, source: string): TensorSource {
  if (!FLOAT_TYPES.includes(dtype)) {
    const read = (): never => {
      throw damaged(source, `tensor ${name} has type ${dtype}, and only ${FLOAT_TYPES.join(', ')} are read`);
    };
    return { shape, read };
  }
  if (dtype === 'F32')
    return { shape, read: (from, to) => new Float32Array(bytes.read(begin + 4 * from, begin + 4 * to).buffer) };
  const [width, widen] = OTHER_FLOATS[dtype as keyof typeof OTHER_FLOATS];
  return {
    shape,
    read(from, to) {
      const wide = new Float32Array(to - from);
      for (let at = from; at < to; at += WIDEN_ELEMENTS) {
        const { buffer } = bytes.read(begin + width * at, begin + width * Math.min(to, at + WIDEN_ELEMENTS));
        wide.set(widen(buffer), at - from);
      }
      return wide;
    },
  };
}

/** Bytes of a number, and how they become float32. */
const OTHER_FLOATS = {
  F16: [2, (buffer: ArrayBuffer) => float16ToFloat32(new Uint16Array(buffer))],
  BF16: [2, (buffer: ArrayBuffer) => bfloat16ToFloat32(new Uint16Array(buffer))],
  F64: [8, (buffer: ArrayBuffer) => new Float64Array(buffer)],
} as const;

function readHeader(json: Uint8Array, body: number, fileBytes: number, source: string) {
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
    if (typeof header !== 'object' || header === null) throw new TypeError('no object');
  } catch {
    throw damaged(source, 'its header is not JSON');
  }
  const { __metadata__: metadata = {}, ...rest } = header;
  if (!isTexts(metadata)) throw damaged(source, 'its metadata are not texts');
  const entries = new Map<string, Entry>();
  for (const [name, entry] of Object.entries(rest)) {
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    const width = BYTES.get(dtype);
    if (width === undefined)
      throw damaged(source, `tensor ${name} has type ${String(dtype)}, and only ${FLOAT_TYPES.join(', ')} are read`);
    if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
      throw damaged(source, `tensor ${name} has no shape or place`);
    const [begin, end] = [body + offsets[0]!, body + offsets[1]!];
    const count = shape.reduce((product, d) => product * d, 1);
    if (end - begin !== width * count)
      throw damaged(source, `tensor ${name} of shape [${shape.join(', ')}] has ${end - begin} bytes`);
    if (end > fileBytes) throw damaged(source, `tensor ${name} ends at byte ${end} of ${fileBytes}`);
    entries.set(name, { dtype: String(dtype), shape, begin, end });
  }
  const inOrder = [...entries].toSorted(([, a], [, b]) => a.begin - b.begin);
  const overlap = inOrder.find(([, entry], i) => i > 0 && entry.begin < inOrder[i - 1]![1].end);
  if (overlap !== undefined) throw damaged(source, `tensor ${overlap[0]} overlaps another`);
  return { metadata, entries };
}

const damaged = (source: string, detail: string): HelioError =>
  new HelioError(
    'HELIO-3001',
    `${source} is not a whole safetensors file: ${detail}.`,
    'Take an earlier checkpoint, or copy the file again.',
  );

const isTexts = (x: unknown): x is Readonly<Record<string, string>> =>
  typeof x === 'object' && x !== null && Object.values(x).every((text) => typeof text === 'string');

const isSizes = (x: unknown): x is readonly number[] =>
  Array.isArray(x) && x.length <= 16 && x.every((d) => Number.isSafeInteger(d) && d >= 0);
