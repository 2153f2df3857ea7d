import { float32ToFloat16 } from '../tensor/half.ts';
import { elementsOf, type ParameterArrays } from '../tensor/parameters.ts';
import { type GgufLayout, type GgufValue, positionsOf, uint32 } from './family.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { ggufLayoutOf, type LanguageConfig, parametersOf } from './model.ts';
import type { FolderTokenizer } from './tokenizer-files.ts';

/** GGUF files, version 3, as llama.cpp reads them (ggml/docs/gguf.md of that project). */

export const GGUF_TYPES = ['f32', 'f16', 'q8_0'] as const;
export type GgufType = (typeof GGUF_TYPES)[number];

const MAGIC = 0x46554747; // "GGUF" read as a little-endian uint32
const VERSION = 3;
const ALIGNMENT = 32;
const TENSOR_TYPE: Readonly<Record<GgufType, number>> = { f32: 0, f16: 1, q8_0: 8 };
/** `general.file_type`: what most tensors are. */
const FILE_TYPE: Readonly<Record<GgufType, number>> = { f32: 0, f16: 1, q8_0: 7 };
/** Numbers that share a scale in Q8_0. */
const BLOCK = 32;

const VALUE_TYPE = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

interface GgufTensor {
  readonly name: string;
  /** Rows first, as everywhere here; the file has them the other way round. */
  readonly shape: readonly number[];
  readonly type: GgufType;
  readonly byteLength: number;
  /** Its numbers in that type, made when they are written. */
  encode(): Uint8Array;
}

/**
 * A language model's file piece by piece: its header, then one tensor after the other.
 *
 * @param type of matrices; vectors stay float32, and matrices whose rows Q8_0 cannot divide become f16
 * @throws HelioError HELIO-1004 when llama.cpp would read text otherwise than the tokenizer does
 */
export function encodeGguf(
  model: LanguageConfig,
  parameters: ParameterArrays,
  tokenizer: FolderTokenizer,
  name: string,
  type: GgufType,
): Iterable<Uint8Array> {
  const layout = ggufLayoutOf(model);
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { kind: 'string', value: layout.architecture }],
    ['general.name', { kind: 'string', value: name }],
    ['general.file_type', { kind: 'uint32', value: FILE_TYPE[type] }],
    ...sizesOf(model, layout),
    ...ggufTokenizer(tokenizer, model.vocabularySize),
  ]);
  const computed = (layout.computed ?? []).map(({ name: own, data }) =>
    tensorOf(own, [data.length], () => data, 'f32'),
  );
  const tensors = parametersOf(model).map(({ name: own, shape, layout: kept, role }): GgufTensor => {
    const matrix = shape.length === 2;
    // Matrices are [out, in] here; GPT-2 keeps its own as [in, out].
    const turned = matrix && role === 'matrix' && kept !== 'out-in';
    const rows = (): Float32Array => {
      const data = parameters.get(own)!;
      return turned ? transpose(data, shape) : (layout.arrange?.(own, data) ?? data);
    };
    return tensorOf(ggufName(own, layout), turned ? shape.toReversed() : shape, rows, matrix ? type : 'f32');
  });
  return assemble(metadata, [...tensors, ...computed]);
}

/** What every model has, and then its family's own. */
function sizesOf(model: LanguageConfig, layout: GgufLayout): readonly (readonly [string, GgufValue])[] {
  const common = [
    ['context_length', uint32(positionsOf(model))],
    ['embedding_length', uint32(model.width)],
    ['block_count', uint32(model.layers)],
    ['attention.head_count', uint32(model.heads)],
    ['vocab_size', uint32(model.vocabularySize)],
  ] as const;
  return [...common, ...layout.metadata].map(([key, value]) => [`${layout.architecture}.${key}`, value]);
}

/** llama.cpp's name for ours. */
const ggufName = (name: string, { names }: GgufLayout): string =>
  names.reduce((text, [pattern, by]) => text.replace(pattern, by), name);

function transpose(data: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  const turned = new Float32Array(data.length);
  for (let r = 0; r < rows!; r++) for (let c = 0; c < columns!; c++) turned[c * rows! + r] = data[r * columns! + c]!;
  return turned;
}

function tensorOf(name: string, shape: readonly number[], rows: () => Float32Array, wanted: GgufType): GgufTensor {
  const type = wanted === 'q8_0' && shape.at(-1)! % BLOCK !== 0 ? 'f16' : wanted;
  const elements = elementsOf({ shape });
  const byteLength = type === 'q8_0' ? (elements / BLOCK) * (2 + BLOCK) : elements * (type === 'f32' ? 4 : 2);
  const view = (array: Float32Array | Uint16Array): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const encode = (): Uint8Array => {
    const data = rows();
    return type === 'f32' ? view(data) : type === 'f16' ? view(float32ToFloat16(data)) : quantize(data);
  };
  return { name, shape, type, byteLength, encode };
}

/** Q8_0: for each 32 numbers a scale in half precision, largest / 127, then a signed byte each. */
export function quantize(data: Float32Array): Uint8Array {
  const blocks = data.length / BLOCK;
  const bytes = new Uint8Array(blocks * (2 + BLOCK));
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const part = data.subarray(block * BLOCK, (block + 1) * BLOCK);
    const scale = part.reduce((max, x) => Math.max(max, Math.abs(x)), 0) / 127;
    const at = block * (2 + BLOCK);
    view.setFloat16(at, scale, true);
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = 0; i < BLOCK; i++) view.setInt8(at + 2 + i, Math.round(part[i]! * inverse));
  }
  return bytes;
}

function* assemble(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Generator<Uint8Array> {
  const header = new ByteWriter();
  header.uint32(MAGIC).uint32(VERSION).uint64(tensors.length).uint64(metadata.size);
  for (const [key, value] of metadata) writeValue(header.string(key), value);
  let offset = 0;
  for (const { name, shape, type, byteLength } of tensors) {
    header.string(name).uint32(shape.length);
    for (const d of shape.toReversed()) header.uint64(d);
    header.uint32(TENSOR_TYPE[type]).uint64(offset);
    offset += aligned(byteLength);
  }
  const head = new Uint8Array(aligned(header.length));
  header.copyTo(head);
  yield head;
  for (const { byteLength, encode } of tensors) {
    yield encode();
    yield new Uint8Array(aligned(byteLength) - byteLength);
  }
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function writeValue(w: ByteWriter, value: GgufValue): void {
  switch (value.kind) {
    case 'uint32':
    case 'int32':
      w.uint32(VALUE_TYPE[value.kind]).uint32(value.value);
      break;
    case 'float32':
      w.uint32(VALUE_TYPE.float32).float32(value.value);
      break;
    case 'bool':
      w.uint32(VALUE_TYPE.bool).byte(value.value ? 1 : 0);
      break;
    case 'string':
      w.uint32(VALUE_TYPE.string).string(value.value);
      break;
    case 'strings':
      w.uint32(VALUE_TYPE.array).uint32(VALUE_TYPE.string).uint64(value.value.length);
      for (const text of value.value) w.string(text);
      break;
    case 'int32s':
      w.uint32(VALUE_TYPE.array).uint32(VALUE_TYPE.int32).uint64(value.value.length);
      for (const number of value.value) w.uint32(number);
      break;
    case 'float32s':
      w.uint32(VALUE_TYPE.array).uint32(VALUE_TYPE.float32).uint64(value.value.length);
      for (const number of value.value) w.float32(number);
      break;
  }
}

/** Little-endian bytes, one after the other. */
class ByteWriter {
  readonly #chunks: Uint8Array[] = [];
  length = 0;

  byte(value: number): this {
    return this.#append(Uint8Array.of(value));
  }
  uint32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, value, true));
  }
  uint64(value: number): this {
    return this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  float32(value: number): this {
    return this.#number(4, (view) => view.setFloat32(0, value, true));
  }
  string(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.uint64(bytes.length).#append(bytes);
  }
  copyTo(target: Uint8Array): void {
    let at = 0;
    for (const chunk of this.#chunks) {
      target.set(chunk, at);
      at += chunk.length;
    }
  }
  #number(bytes: number, write: (view: DataView) => void): this {
    const chunk = new Uint8Array(bytes);
    write(new DataView(chunk.buffer));
    return this.#append(chunk);
  }
  #append(chunk: Uint8Array): this {
    this.#chunks.push(chunk);
    this.length += chunk.length;
    return this;
  }
}
