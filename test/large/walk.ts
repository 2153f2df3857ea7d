import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Checkpointed, openCheckpoint, saveCheckpoint } from '../../src/cli/run-checkpoint.ts';
import { placesOf } from '../../src/coordinator/state-pieces.ts';
import { hashOf } from '../../src/coordinator/store/blobs.ts';
import { FileBlobs } from '../../src/coordinator/store/file-blobs.ts';
import { writePieces } from '../../src/files.ts';
import { BaseFiles } from '../../src/island/node/base-file.ts';
import { openIslandCheckpoint, saveIslandCheckpoint } from '../../src/island/node/island-checkpoint.ts';
import { mostBytesOf } from '../../src/island/payload-bounds.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { loadTokenizer } from '../../src/ml/data/tokenizer.ts';
import { encodeGguf } from '../../src/ml/models/gguf.ts';
import { openWeights, saveWeights } from '../../src/ml/models/hugging-face.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { saveOnnx } from '../../src/ml/models/onnx-file.ts';
import { elementsOf } from '../../src/ml/tensor/parameters.ts';
import { openSafetensors } from '../../src/ml/tensor/safetensors.ts';
import { layOutSafetensors } from '../../src/ml/tensor/safetensors-layout.ts';
import { LazyArrays } from '../../src/ml/tensor/tensor-source.ts';
import { outputsGraph } from '../../src/ml/training/training-graph.ts';
import { cutIntoFragments, type Fragment } from '../../src/outer/fragments.ts';
import { encodeFrames, FrameAssembler, joined, type Packed, type Transfer } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { largeModel, makeSparse, requireMark, requireMarks } from './sparse-model.ts';

/**
 * `node walk.ts LAYERS PATH…`: the states of a large model go through every path that holds or moves them, in a process of its own, and are looked
 * at behind each. Prints one line of JSON: parameters, seconds of each path, and the most memory that the process had.
 */

/** Bytes of the smallest array that one call of the system, or of OpenSSL, does not take. */
const WALL_BYTES = 2 ** 31;

const [layers, ...wanted] = process.argv.slice(2);
const MODEL = largeModel(Number(layers));
const SPECS = parametersOf(MODEL);
const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-large-'));
const place = (name: string): string => path.join(folder, name);

/** Each leaves nothing behind but what it wrote under its own name, which is removed. */
const paths: Readonly<Record<string, (base: LazyArrays) => Promise<void> | void>> = {
  hash,
  travel,
  shards,
  checkpoint,
  island,
  blob,
  wall,
  onnx,
  gguf,
};

/** A base as coordinator and islands name it: read from its file, a mebibyte at a time. */
async function hash(base: LazyArrays): Promise<void> {
  const layout = layOutSafetensors(base.sources);
  if (layout.length < WALL_BYTES) throw new Error('the model is too small');
  const name = await contentHash(layout);
  if (!/^[0-9a-f]{64}$/.test(name)) throw new Error(name);
}

/** A base on its way to an island: cut into frames from its file, and put together in another. */
async function travel(base: LazyArrays): Promise<void> {
  const payload = layOutSafetensors(base.sources);
  const packed: Packed = { content: { kind: 'base' }, payload, hash: await contentHash(payload) };
  const bases = new BaseFiles();
  const assembler = new FrameAssembler({
    most: (content) => mostBytesOf(content, undefined),
    sink: (_, bytes) => bases.make(bytes),
  });
  try {
    let transfer: Promise<Transfer> | undefined;
    let frames = 0;
    for (const frame of encodeFrames(packed)) {
      transfer = assembler.accept(joined(frame));
      // As over a network, hashing goes on while the next ones come.
      if (++frames % 8 === 0) await sleep(5);
    }
    const { sink } = await transfer!;
    const opened = openSafetensors(sink!.file!);
    requireMarks(MODEL, new LazyArrays(opened.tensors));
    opened.close();
  } finally {
    bases.close();
  }
}

/** The model as it is saved at the end of a run, and loaded again. */
function shards(base: LazyArrays): void {
  saveWeights(place('shards'), { model: MODEL, parameters: base }, undefined, 1e9);
  const files = readdirSync(place('shards')).filter((name) => name.endsWith('.safetensors'));
  if (files.length < 3 || files.some((name) => statSync(path.join(place('shards'), name)).size > 1.1e9))
    throw new Error(`${files.length} files`);
  const opened = openWeights(place('shards'));
  requireMarks(MODEL, opened.parameters);
  opened.close();
}

const fragments: readonly Fragment[] = cutIntoFragments(
  SPECS.map((spec) => ({
    name: spec.name,
    shape: spec.shape,
    elements: elementsOf(spec),
    role: spec.role === 'embedding' ? 'embedding' : 'other',
  })),
  8,
  'balanced',
);

/** A run's checkpoint, of an aggregation whose numbers are those of the base. */
async function checkpoint(base: LazyArrays): Promise<void> {
  const places = [...placesOf(fragments)];
  const aggregation: Checkpointed = {
    fragments,
    elements: async (part, fragment) => (part === 'parameters' ? fragments[fragment]!.elements : 0),
    steps: async () => fragments.map(() => 7),
    async read(_, fragment, begin, end) {
      const [name, { offset }] = places.find(
        ([, p]) => p.fragment === fragment && p.offset <= begin && end <= p.offset + p.elements,
      )!;
      return base.sources.get(name)!.read(begin - offset, end - offset);
    },
  };
  const blobs = new FileBlobs(place('checkpoint'));
  const named = await saveCheckpoint(blobs, aggregation);
  for (const name of await blobs.list())
    if (statSync(path.join(place('checkpoint'), name)).size > 2 ** 27 + 2 ** 16) throw new Error('a blob is too large');
  let elements = 0;
  const begins = new Map(places.map(([name, p]) => [`${p.fragment}:${p.offset}`, name]));
  const ends = new Map(places.map(([name, p]) => [`${p.fragment}:${p.offset + p.elements}`, name]));
  const { steps, pieces } = await openCheckpoint(blobs, named, fragments);
  if (steps.join() !== fragments.map(() => 7).join()) throw new Error(steps.join());
  for await (const { fragment, offset, data } of pieces) {
    elements += data.length;
    look(begins.get(`${fragment}:${offset}`), data[0]);
    look(ends.get(`${fragment}:${offset + data.length}`), data.at(-1));
  }
  if (elements !== SPECS.reduce((sum, spec) => sum + elementsOf(spec), 0)) throw new Error(`${elements} elements`);
}

function look(name: string | undefined, number: number | undefined): void {
  const index = SPECS.findIndex((spec) => spec.name === name);
  if (name !== undefined) requireMark(index, name, number);
}

/** What an island keeps of itself. */
function island(base: LazyArrays): void {
  const trainer = { step: 1, age: 1, lossScale: 1, goodSteps: 0, parameters: base, moments: new Map() };
  const exchange = { residuals: [], memories: [] };
  saveIslandCheckpoint(place('island'), { run: 'a', checkpoint: '1', trainer, clocks: [], exchange });
  const opened = openIslandCheckpoint(place('island'), 'a', null)!;
  requireMarks(MODEL, opened.trainer.parameters);
  opened.close();
}

/** A blob that is larger than an array may be for one call. */
async function blob(base: LazyArrays): Promise<void> {
  const layout = layOutSafetensors(base.sources);
  const sum = createHash('sha256');
  for (const piece of layout.pieces()) sum.update(piece);
  const name = sum.digest('hex');
  const blobs = new FileBlobs(place('blob'));
  await blobs.putPieces(name, layout.length, layout.pieces());
  let bytes = 0;
  for await (const piece of blobs.getPieces(name)) bytes += piece.length;
  if (bytes !== layout.length) throw new Error(`${bytes} bytes`);
}

/** One array that OpenSSL does not take at once: an averaged pseudo-gradient of a fragment of half a billion. */
function wall(): void {
  const bytes = new Uint8Array(WALL_BYTES + 5);
  const sum = createHash('sha256');
  for (let at = 0; at < bytes.length; at += 2 ** 26) sum.update(new Uint8Array(Math.min(2 ** 26, bytes.length - at)));
  if (hashOf(bytes) !== sum.digest('hex')) throw new Error('another hash');
}

/** Exports. */
function onnx(base: LazyArrays): void {
  const graph = outputsGraph(MODEL, 1, { input: 'input_ids', outputs: 'logits' });
  writeIn('onnx', (file) => saveOnnx(file, graph, 'large', base));
}
function gguf(base: LazyArrays): void {
  const tokenizerJson = JSON.stringify(trainBpe(['to be or not to be'], 258));
  const tokenizer = { tokenizer: loadTokenizer(tokenizerJson, 'large'), tokenizerJson, beside: {} };
  writeIn('gguf', (file) => writePieces(file, encodeGguf(MODEL, base, tokenizer, 'large', 'f32')));
}
function writeIn(name: string, write: (file: string) => void): void {
  write(path.join(place(name), 'large'));
  const bytes = readdirSync(place(name)).reduce((sum, file) => sum + statSync(path.join(place(name), file)).size, 0);
  if (bytes < SPECS.reduce((sum, spec) => sum + 4 * elementsOf(spec), 0)) throw new Error(`${bytes} bytes`);
}

try {
  makeSparse(place('base'), MODEL);
  const { parameters, close } = openWeights(place('base'));
  const seconds: Record<string, number> = {};
  for (const name of wanted) {
    const startMs = performance.now();
    await paths[name]!(parameters);
    seconds[name] = (performance.now() - startMs) / 1000;
    rmSync(place(name), { recursive: true, force: true });
  }
  close();
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  console.log(
    JSON.stringify({ parameters: SPECS.reduce((sum, spec) => sum + elementsOf(spec), 0), seconds, peakBytes }),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
