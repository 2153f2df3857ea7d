import { wholeBlocks } from './codec.ts';
import { CHUNK, kernels } from './kernels.ts';

/** sum ← sum + weight · chunk, where the chunk begins at `offset`. In float32, in the order of the calls. */
export function addChunk(sum: Float32Array, chunk: Float32Array, offset: number, weight: number): void {
  eachSum(sum, chunk, offset, (_, count) => kernels().loops.accumulate(count, weight));
}

/** sum ← sum + weight · (base − chunk), in one pass; otherwise as {@link addChunk}. */
export function addDifference(
  sum: Float32Array,
  base: Float32Array,
  chunk: Float32Array,
  offset: number,
  weight: number,
): void {
  eachSum(sum, chunk, offset, (beside, count) => {
    const memory = kernels();
    memory.base.set(base.subarray(beside.start, beside.end));
    memory.loops.accumulateDifference(count, weight);
  });
}

/** Puts each part of a chunk and of the sum that it belongs to before a loop, and keeps what it made of the sum. */
function eachSum(
  sum: Float32Array,
  chunk: Float32Array,
  offset: number,
  add: (place: { readonly start: number; readonly end: number }, count: number) => void,
): void {
  eachPart(chunk, (part, from, count) => {
    const memory = kernels();
    const [start, end] = [offset + from, offset + from + count];
    const place = sum.subarray(start, end);
    memory.sum.set(place);
    load(memory.decoded, part);
    add({ start, end }, wholeBlocks(count));
    place.set(memory.sum.subarray(0, count));
  });
}

/** chunk ← base − chunk, where the chunk begins at `offset` of the base. In float32. */
export function differenceTo(base: Float32Array, chunk: Float32Array, offset: number): void {
  eachPart(chunk, (part, start, count) => {
    const { loops, ...memory } = kernels();
    memory.base.set(base.subarray(offset + start, offset + start + count));
    load(memory.decoded, part);
    loops.difference(wholeBlocks(count));
    load(part, memory.decoded.subarray(0, count));
  });
}

/** The sum of a chunk's squares; not finite when one of its numbers is not. */
export function squaresOf(chunk: Float32Array): number {
  let sum = 0;
  eachPart(chunk, (part, _, count) => {
    const { loops, decoded } = kernels();
    load(decoded, part);
    decoded.fill(0, count, wholeBlocks(count));
    sum += loops.squares(wholeBlocks(count));
  });
  return sum;
}

/** Copies a part, unless it is there already: what a codec decodes lies where the loops look for it. */
function load(into: Float32Array, part: Float32Array): void {
  if (part.buffer !== into.buffer || part.byteOffset !== into.byteOffset) into.set(part);
}

function eachPart(chunk: Float32Array, work: (part: Float32Array, start: number, count: number) => void): void {
  for (let start = 0; start < chunk.length; start += CHUNK) {
    const count = Math.min(CHUNK, chunk.length - start);
    work(chunk.subarray(start, start + count), start, count);
  }
}
