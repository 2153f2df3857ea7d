import type { WorkerAggregation } from '../coordinator/server/worker-aggregation.ts';
import {
  placesOf,
  STATE_PARTS,
  type StatePart,
  type StatePiece,
  type StatePieces,
  unfitting,
} from '../coordinator/state-pieces.ts';
import type { BlobStore } from '../coordinator/store/blobs.ts';
import { elementsOf } from '../ml/tensor/parameters.ts';
import { readSafetensors } from '../ml/tensor/safetensors.ts';
import { layOutSafetensors } from '../ml/tensor/safetensors-layout.ts';
import { inMemory, type TensorSource } from '../ml/tensor/tensor-source.ts';
import { type Fragment, shapeOf, type TensorLayout } from '../outer/fragments.ts';

/**
 * The tensors of a run's checkpoint: for each part (θ, the outer optimizer's v …) one safetensors file by the model's own names and shapes,
 * or several where it is large. A tensor that does not fit into what is left of a file goes on in the next one, as `NAME#BEGIN`, flat.
 */

/** Bytes of one blob's numbers at most. */
export const BLOB_BYTES = 2 ** 27;

/** What belongs to whole fragments is in files of this name: codecs' memories by the fragment's number, and outer steps. */
const FRAGMENTS = 'fragments';
const fileOf = (part: StatePart): string => (part === 'memory' ? FRAGMENTS : part);

/** What of the aggregation a checkpoint is made of. */
export type Checkpointed = Pick<WorkerAggregation, 'fragments' | 'elements' | 'read' | 'steps'>;

/** A stretch of a fragment's array that goes into a file, under the name of its tensor. */
interface Stretch {
  readonly fragment: number;
  readonly begin: number;
  readonly end: number;
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * Puts one blob after the other; of the tensors no more than a blob is held here.
 *
 * @returns the blobs that it is in, by part
 */
export async function saveCheckpoint(
  blobs: BlobStore,
  aggregation: Checkpointed,
  blobBytes = BLOB_BYTES,
): Promise<Readonly<Record<string, string>>> {
  const named: Record<string, string> = {};
  const steps = JSON.stringify(await aggregation.steps());
  for (const part of STATE_PARTS) {
    const files = intoFiles(await stretchesOf(aggregation, part), blobBytes / 4);
    if (part === 'memory' && files.length === 0) files.push([]);
    for (const [i, stretches] of files.entries()) {
      const bytes = await encode(aggregation, part, stretches, part === 'memory' ? { steps } : undefined);
      const hash = await sha256(bytes);
      await blobs.put(hash, bytes);
      named[files.length === 1 ? fileOf(part) : `${fileOf(part)}.${i}`] = hash;
    }
  }
  return named;
}

async function stretchesOf(aggregation: Checkpointed, part: StatePart): Promise<readonly Stretch[]> {
  const all: Stretch[] = [];
  for (const [fragment, { tensors }] of aggregation.fragments.entries()) {
    const length = await aggregation.elements(part, fragment);
    if (length === 0) continue;
    const within: readonly TensorLayout[] =
      part === 'memory' ? [{ name: String(fragment), elements: length, role: 'other' }] : tensors;
    let begin = 0;
    for (const tensor of within) {
      const end = begin + tensor.elements;
      all.push({ fragment, begin, end, name: tensor.name, shape: shapeOf(tensor) });
      begin = end;
    }
  }
  return all;
}

/** Fills one file after the other. */
function intoFiles(all: readonly Stretch[], most: number): Stretch[][] {
  const files: Stretch[][] = [];
  let room = 0;
  for (const whole of all) {
    for (let begin = whole.begin; begin < whole.end; ) {
      if (room === 0) {
        files.push([]);
        room = most;
      }
      const end = Math.min(whole.end, begin + room);
      const isWhole = end - begin === whole.end - whole.begin;
      const cut = { ...whole, begin, end, name: `${whole.name}#${begin - whole.begin}`, shape: [end - begin] };
      files.at(-1)!.push(isWhole ? whole : cut);
      room -= end - begin;
      begin = end;
    }
  }
  return files;
}

async function encode(
  aggregation: Checkpointed,
  part: StatePart,
  stretches: readonly Stretch[],
  metadata: Readonly<Record<string, string>> | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = new Map<string, TensorSource>();
  for (const { fragment, begin, end, name, shape } of stretches)
    tensors.set(name, inMemory(shape, await aggregation.read(part, fragment, begin, end)));
  const layout = layOutSafetensors(tensors, metadata);
  return layout.subarray(0, layout.length);
}

/** On another thread than this one, which has heartbeats to answer. */
async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
}

const FILE = /^(parameters|velocity|second|residual|fragments)(?:\.(\d+))?$/;

/**
 * What a run goes on from, blob by blob as it is asked for.
 *
 * @throws HelioError HELIO-3001 when a blob is missing or damaged, or of another model
 */
export async function openCheckpoint(
  blobs: BlobStore,
  named: Readonly<Record<string, string>>,
  fragments: readonly Fragment[],
): Promise<StatePieces> {
  const first = named[FRAGMENTS] ?? named[`${FRAGMENTS}.0`];
  const { metadata } = first === undefined ? { metadata: {} } : await read(blobs, first);
  const { steps = '[]' } = metadata as { readonly steps?: string };
  return { steps: JSON.parse(steps) as readonly number[], pieces: piecesIn(blobs, named, fragments) };
}

const read = async (blobs: BlobStore, hash: string) => readSafetensors(await blobs.get(hash), `blob ${hash}`);

async function* piecesIn(
  blobs: BlobStore,
  named: Readonly<Record<string, string>>,
  fragments: readonly Fragment[],
): AsyncGenerator<StatePiece> {
  const places = placesOf(fragments);
  for (const [key, hash] of Object.entries(named)) {
    const [, file] = FILE.exec(key) ?? [];
    if (file === undefined) continue;
    const opened = await read(blobs, hash);
    for (const [name, tensor] of opened.tensors) {
      const data = tensor.read(0, elementsOf(tensor)) as Float32Array<ArrayBuffer>;
      if (file === FRAGMENTS) yield memoryPiece(name, data);
      else yield* parameterPiece(places, file as StatePart, name, data);
    }
  }
}

/** NAME, or NAME#BEGIN where the name alone is none. */
function cutName(name: string): readonly [string, number] {
  const at = name.lastIndexOf('#');
  return at < 0 ? [name, 0] : [name.slice(0, at), Number(name.slice(at + 1))];
}

function memoryPiece(name: string, data: Float32Array<ArrayBuffer>): StatePiece {
  const [fragment, offset] = cutName(name);
  return { part: 'memory', fragment: Number(fragment), offset, data };
}

/** Of a tensor that the run does not have: nothing. */
function* parameterPiece(
  places: ReturnType<typeof placesOf>,
  part: StatePart,
  name: string,
  data: Float32Array<ArrayBuffer>,
): Generator<StatePiece> {
  const [own, begin] = places.has(name) ? [name, 0] : cutName(name);
  const place = places.get(own);
  if (place === undefined) return;
  const isPart = own !== name && begin + data.length <= place.elements;
  if (!isPart && data.length !== place.elements) throw unfitting(own, data.length, place.elements);
  yield { part, fragment: place.fragment, offset: place.offset + begin, data };
}
