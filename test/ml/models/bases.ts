import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gguf } from '@huggingface/gguf';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { HelioError } from '../../../src/errors.ts';
import { writePieces } from '../../../src/files.ts';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { intTensor } from '../../../src/ml/engine/session.ts';
import { saveAdapter } from '../../../src/ml/models/adapter.ts';
import { encodeGguf } from '../../../src/ml/models/gguf.ts';
import { loadWeights, openWeights, saveWeights } from '../../../src/ml/models/hugging-face.ts';
import {
  ggufLayoutOf,
  type LanguageConfig,
  loraTargetsOf,
  parametersOf,
  withContext,
} from '../../../src/ml/models/model.ts';
import { saveOnnx } from '../../../src/ml/models/onnx-file.ts';
import { elementsOf, type ParameterArrays, trainable } from '../../../src/ml/tensor/parameters.ts';
import { Generator } from '../../../src/ml/training/generate.ts';
import { outputsGraph } from '../../../src/ml/training/training-graph.ts';
import { compute, FIXTURES, ids } from './reference.ts';

/** What is measured of a tiny base that transformers made: test/fixtures/make_bases.py says how. */

const BASES = path.join(FIXTURES, 'bases');
export const BASE_NAMES: readonly string[] = readdirSync(BASES).toSorted();
export const folderOf = (name: string): string => path.join(BASES, name);

interface Computed {
  readonly loss: number;
  /** Of the last rows. */
  readonly logits: readonly number[];
  /** Of each gradient its norm, and its product with a wave. */
  readonly gradients: Readonly<Record<string, readonly [norm: number, product: number]>>;
}

export interface Expected {
  readonly what: string;
  readonly type: string;
  /** Tokens of its tokenizer; the model's vocabulary may be larger. */
  readonly vocabulary: number;
  readonly tokens: readonly number[];
  readonly targets: readonly number[];
  readonly whole: Computed;
  readonly lora: Computed;
}

export const expectedOf = (name: string): Expected =>
  JSON.parse(readFileSync(path.join(folderOf(name), 'expected.json'), 'utf8')) as Expected;

/** The script's numbers. */
const wave = (elements: number, k: number): Float32Array =>
  Float32Array.from({ length: elements }, (_, i) => Math.sin(0.7 * i + k));

/** How far two rows of numbers are apart at most. */
export const furthest = (ours: ArrayLike<number>, theirs: readonly number[]): number =>
  Math.max(...theirs.map((x, i) => Math.abs(x - ours[ours.length - theirs.length + i]!)));

/** The base as it is used here: at the context of its example. */
export function openBase(name: string) {
  const { model, parameters } = loadWeights(folderOf(name));
  const expected = expectedOf(name);
  return { model: withContext(model as LanguageConfig, expected.tokens.length), parameters, expected };
}

/** The base with the adapters that the script made: rank 2, alpha 3, every matrix. */
export function withAdapters(model: LanguageConfig, parameters: ParameterArrays) {
  const adapted = { ...model, lora: { rank: 2, alpha: 3, targets: loraTargetsOf(model) } };
  const specs = trainable(parametersOf(adapted)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const adapters = specs.map((spec, k) => [spec.name, wave(elementsOf(spec), k).map((x) => 0.2 * x)] as const);
  return { model: adapted, parameters: new Map([...parameters, ...adapters]) };
}

/** Largest difference of logits and loss, and largest relative one of gradients. */
async function difference(
  model: LanguageConfig,
  parameters: ParameterArrays,
  { tokens, targets }: Expected,
  of: Computed,
) {
  const { logits, loss, gradient } = await compute(
    model,
    parameters,
    intTensor(ids(tokens), [1, tokens.length]),
    targets,
  );
  const gradients = Object.entries(of.gradients).map(([name, [norm, product]]) => {
    const ours = gradient(name);
    const along = wave(ours.length, 0);
    const [squares, sum] = ours.reduce(([s, p], x, i) => [s + x * x, p + x * along[i]!], [0, 0] as [number, number]);
    return (
      Math.max(Math.abs(Math.sqrt(squares) - norm), Math.abs(sum - product) / Math.sqrt(ours.length)) / (norm + 1e-3)
    );
  });
  return {
    logits: Math.max(furthest(logits, of.logits), Math.abs(loss - of.loss)),
    gradients: Math.max(...gradients),
    trained: gradients.length,
  };
}

export interface BaseMeasurements {
  readonly whole: Awaited<ReturnType<typeof difference>>;
  readonly lora: Awaited<ReturnType<typeof difference>>;
  /** Of logits that ONNX Runtime computes from the exported file. */
  readonly onnx: number;
  /** Tensors of the exported file, or why there is none. */
  readonly gguf: { readonly tensors: readonly string[]; readonly architecture: string } | string;
  /** Whether what was saved reads as it was. */
  readonly savedAgain: boolean;
  /** The token that is generated next, and the one of the largest logit. */
  readonly next: readonly [generated: number, likeliest: number];
}

export async function measureBase(name: string): Promise<BaseMeasurements> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-base-'));
  try {
    const { model, parameters, expected } = openBase(name);
    const adapted = withAdapters(model, parameters);
    const { logits } = expected.whole;
    const last = logits.slice(-model.vocabularySize);
    return {
      whole: await difference(model, parameters, expected, expected.whole),
      lora: await difference(adapted.model, adapted.parameters, expected, expected.lora),
      onnx: furthest(await throughOnnx(name, model, expected, folder), logits),
      gguf: await throughGguf(model, parameters, folder),
      savedAgain: isSavedAgain(name, folder),
      next: [await generated(model, parameters, expected), last.indexOf(Math.max(...last))],
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function throughOnnx(
  name: string,
  model: LanguageConfig,
  { tokens }: Expected,
  folder: string,
): Promise<Float32Array> {
  const file = path.join(folder, 'model.onnx');
  const opened = openWeights(folderOf(name));
  saveOnnx(file, outputsGraph(model, 1, { input: 'input_ids', outputs: 'logits' }), name, opened.parameters);
  opened.close();
  const session = await InferenceSession.create(file);
  const { logits } = await session.run({ input_ids: new Tensor('int64', ids(tokens), [1, tokens.length]) });
  await session.release();
  return logits!.data as Float32Array;
}

async function throughGguf(model: LanguageConfig, parameters: ParameterArrays, folder: string) {
  try {
    ggufLayoutOf(model);
  } catch (error) {
    if (error instanceof HelioError) return error.what;
    throw error;
  }
  const file = path.join(folder, 'model.gguf');
  writeGguf(model, parameters, file);
  const { tensorInfos, metadata } = await gguf(file, { allowLocalFile: true });
  return { tensors: tensorInfos.map((info) => info.name), architecture: String(metadata['general.architecture']) };
}

/** What a byte-level tokenizer has at least: the tables grow to as many rows, of zeros. */
const GGUF_TOKENS = 257;

function writeGguf(model: LanguageConfig, parameters: ParameterArrays, file: string): void {
  const grown = { ...model, vocabularySize: GGUF_TOKENS };
  const all = parametersOf(grown).map((spec) => {
    const data = new Float32Array(elementsOf(spec));
    data.set(parameters.get(spec.name)!.subarray(0, data.length));
    return [spec.name, data] as const;
  });
  const tokenizerJson = JSON.stringify(trainBpe(['to be'], GGUF_TOKENS));
  const tokenizer = { tokenizer: loadTokenizer(tokenizerJson, 'test'), tokenizerJson, beside: {} };
  writePieces(file, encodeGguf(grown, new Map(all), tokenizer, 'tiny', 'f32'));
}

/** Writes NAME.gguf for `check_gguf.mjs`, and NAME.json: tokens, and the logits that follow the last one. */
export function saveForLlamaCpp(name: string, folder: string): void {
  const { model, parameters, expected } = openBase(name);
  writeGguf(model, parameters, path.join(folder, `${name}.gguf`));
  const row = expected.whole.logits.slice(-model.vocabularySize);
  const logits = [...row, ...Array<number>(GGUF_TOKENS - row.length).fill(0)];
  writeFileSync(path.join(folder, `${name}.json`), JSON.stringify({ tokens: expected.tokens, logits }));
}

function isSavedAgain(name: string, folder: string): boolean {
  const before = loadWeights(folderOf(name));
  saveWeights(folder, before);
  const after = loadWeights(folder);
  const same = [...before.parameters].every(([tensor, data]) =>
    data.every((x, i) => Object.is(x, after.parameters.get(tensor)![i])),
  );
  return same && isDeepStrictEqual(after.model, before.model);
}

async function generated(model: LanguageConfig, parameters: ParameterArrays, { tokens }: Expected): Promise<number> {
  const generator = await Generator.create(nodeRuntime(), model, parameters, 1);
  for await (const token of generator.continue(tokens, { temperature: 0 } as never, 1)) {
    await generator.release();
    return token;
  }
  throw new Error('nothing was generated');
}

/** Saves a base and its adapters for `check_bases.py`. */
export function saveForTransformers(name: string, folder: string): void {
  const { model, parameters, expected } = openBase(name);
  const adapted = withAdapters(model, parameters);
  saveWeights(folder, { model, parameters });
  saveAdapter(path.join(folder, 'adapter'), adapted.model, adapted.parameters, folder);
  writeFileSync(path.join(folder, 'ids.json'), JSON.stringify(expected.tokens));
}
