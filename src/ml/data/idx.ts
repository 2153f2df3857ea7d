import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { HelioError } from '../../errors.ts';
import type { ExampleSet } from './examples.ts';

/** Images and labels in the IDX format of MNIST (yann.lecun.com/exdb/mnist), plain or gzipped. */

/** Largest file that is unpacked. */
const MAX_BYTES = 2 ** 31;
const UNSIGNED_BYTE = 0x08;

/**
 * Reads images ([count, height, width] or [count, channels, height, width] of bytes, scaled to 0 … 1) and their labels.
 *
 * @throws HelioError HELIO-1003 when a file is unreadable, no IDX, cut short, or the two do not belong together
 */
export function readIdx(imageFile: string, labelFile: string): ExampleSet {
  const images = decode(imageFile);
  const labels = decode(labelFile);
  const [count, ...sides] = images.shape;
  if (sides.length !== 2 && sides.length !== 3)
    throw foreign(imageFile, `it has ${images.shape.length} dimensions, and images have 3 or 4`);
  if (labels.shape.length !== 1 || labels.shape[0] !== count)
    throw foreign(labelFile, `it has ${labels.shape.join(' × ')} labels for ${count} images`);
  const outputs = labels.data.reduce((max, label) => Math.max(max, label), 0) + 1;
  return {
    count: count!,
    shape: sides.length === 3 ? sides : [1, ...sides],
    features: Float32Array.from(images.data, (byte) => byte / 255),
    targets: BigInt64Array.from(labels.data, BigInt),
    outputs,
  };
}

function decode(file: string): { readonly shape: readonly number[]; readonly data: Uint8Array } {
  const bytes = read(file);
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0)
    throw foreign(file, 'it does not begin with two zero bytes');
  if (bytes[2] !== UNSIGNED_BYTE)
    throw foreign(file, `its numbers are of type 0x${bytes[2]!.toString(16)}, and bytes (0x08) are read`);
  const rank = bytes[3]!;
  const header = 4 + 4 * rank;
  if (rank < 1 || bytes.length < header) throw foreign(file, 'its header is cut short');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = shape.reduce((product, d) => product * d, 1);
  if (size === 0 || bytes.length !== header + size)
    throw foreign(file, `its header says ${shape.join(' × ')}, ${header + size} bytes, and it has ${bytes.length}`);
  return { shape, data: bytes.subarray(header) };
}

function read(file: string): Uint8Array {
  try {
    const bytes = readFileSync(file);
    return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes, { maxOutputLength: MAX_BYTES }) : bytes;
  } catch (error) {
    throw foreign(file, `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
}

const foreign = (file: string, detail: string): HelioError =>
  new HelioError(
    'HELIO-1003',
    `${file} is not an IDX file that can be used: ${detail}.`,
    'Give images and labels as MNIST has them, plain or gzipped.',
  );
