import path from 'node:path';
import { writePieces, writeWhole } from '../../files.ts';
import type { Graph } from '../engine/graph.ts';
import { type ExternalWeights, MAX_ONNX_BYTES, toOnnx } from '../engine/onnx.ts';
import { elementsOf } from '../tensor/parameters.ts';
import type { LazyArrays, TensorSource } from '../tensor/tensor-source.ts';

/** Where tensors begin: whoever maps the file into memory wants whole pages. */
const ALIGNMENT = 4096;
/** Numbers that are read at a time. */
const PIECE_ELEMENTS = 2 ** 24;

/**
 * Writes a graph with its weights: one file, or, where they are more than the format holds, a second one beside it (`FILE.data`), which
 * runtimes load by themselves.
 *
 * @param mostBytes of weights in the first file
 */
export function saveOnnx(
  file: string,
  graph: Graph,
  name: string,
  weights: LazyArrays,
  mostBytes: number = MAX_ONNX_BYTES,
): void {
  const used = new Map([...weights.sources].filter(([input]) => graph.inputs.some((value) => value.name === input)));
  const bytes = [...used.values()].reduce((sum, source) => sum + 4 * elementsOf(source), 0);
  if (bytes <= mostBytes) return writeWhole(file, toOnnx(graph, name, undefined, new Map(weights)));
  const external = layOut(`${path.basename(file)}.data`, used);
  writePieces(`${file}.data`, piecesOf(used));
  writeWhole(file, toOnnx(graph, name, undefined, undefined, external));
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function layOut(file: string, tensors: ReadonlyMap<string, TensorSource>): ExternalWeights {
  const begins = new Map<string, number>();
  let end = 0;
  for (const [name, source] of tensors) {
    begins.set(name, end);
    end += aligned(4 * elementsOf(source));
  }
  return { file, begins };
}

function* piecesOf(tensors: ReadonlyMap<string, TensorSource>): Generator<Uint8Array> {
  for (const source of tensors.values()) {
    const elements = elementsOf(source);
    for (let at = 0; at < elements; at += PIECE_ELEMENTS) {
      const { buffer, byteOffset, byteLength } = source.read(at, Math.min(elements, at + PIECE_ELEMENTS));
      yield new Uint8Array(buffer, byteOffset, byteLength);
    }
    yield new Uint8Array(aligned(4 * elements) - 4 * elements);
  }
}
