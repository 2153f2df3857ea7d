import { HelioError } from '../../errors.ts';

/** The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the raw tensors. */

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The format's own limit on the header. */
const MAX_HEADER_BYTES = 100_000_000;

/** Encodes float32 tensors. `metadata` values are strings by the format's rule. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Padding with spaces keeps the tensors aligned to 8 bytes, as the reference writer does.
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8 + json.length, 8 + headerBytes);
  file.set(json, 8);
  let at = 8 + headerBytes;
  for (const { data } of tensors.values()) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

/**
 * Decodes a file of float32 tensors.
 *
 * @param source the file's name, for messages
 * @throws HelioError HELIO-3001 when the file is truncated, foreign or holds another type than F32
 */
export function decodeSafetensors(
  file: Uint8Array,
  source: string,
): { tensors: ReadonlyMap<string, StoredTensor>; metadata: Readonly<Record<string, string>> } {
  const damaged = (detail: string) =>
    new HelioError(
      'HELIO-3001',
      `${source} is not a whole safetensors file: ${detail}.`,
      'Take an earlier checkpoint, or copy the file again.',
    );
  if (file.length < 8) throw damaged(`${file.length} bytes where the header's length should be`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > file.length) {
    throw damaged(`its header says ${headerBytes} bytes and the file has ${file.length}`);
  }
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, 8 + headerBytes)));
  } catch {
    throw damaged('its header is not JSON');
  }
  const { __metadata__: metadata = {}, ...entries } = header;
  const body = 8 + headerBytes;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(entries)) {
    const {
      dtype,
      shape,
      data_offsets: offsets,
    } = entry as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    if (dtype !== 'F32') throw damaged(`tensor ${name} has type ${String(dtype)}, and only F32 is read`);
    if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
      throw damaged(`tensor ${name} has no shape or place`);
    const [begin, end] = offsets as readonly [number, number];
    const count = shape.reduce((product, d) => product * d, 1);
    if (end - begin !== 4 * count || body + end > file.length) {
      throw damaged(`tensor ${name} ends at byte ${body + end} of ${file.length}`);
    }
    tensors.set(name, {
      shape,
      data: new Float32Array(new Uint8Array(file.subarray(body + begin, body + end)).buffer),
    });
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

const isSizes = (x: unknown): x is readonly number[] =>
  Array.isArray(x) && x.length <= 16 && x.every((d) => Number.isSafeInteger(d) && d >= 0);
