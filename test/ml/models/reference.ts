import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Graph } from '../../../src/ml/engine/graph.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { floatsOf, floatTensor, intTensor, type Tensor } from '../../../src/ml/engine/session.ts';
import type { Gpt2Config } from '../../../src/ml/models/gpt2.ts';
import { gpt2Parameters } from '../../../src/ml/models/gpt2.ts';
import { type ModelConfig, parametersOf } from '../../../src/ml/models/model.ts';
import { elementsOf, type ParameterArrays } from '../../../src/ml/tensor/parameters.ts';
import { gradientGraph, outputsGraph } from '../../../src/ml/training/training-graph.ts';

/** What PyTorch computed; test/fixtures/make_pytorch_reference.py says how. */
interface Reference {
  readonly model: Omit<Gpt2Config, 'architecture'>;
  readonly batch: number;
  readonly tokens: readonly number[];
  readonly targets: readonly number[];
  readonly loss: number;
  readonly logits: string;
  readonly gradients: Readonly<Record<string, string>>;
  readonly adamw: {
    readonly rate: number;
    readonly clipNorm: number;
    readonly losses: readonly number[];
    readonly gradNorms: readonly number[];
    readonly parameters: Readonly<Record<string, string>>;
  };
  readonly muon: readonly {
    readonly shape: readonly [number, number];
    readonly weight: string;
    readonly momentum: string;
  }[];
  readonly nesterov: {
    readonly rate: number;
    readonly momentum: number;
    readonly elements: number;
    readonly parameters: readonly string[];
  };
}

export const FIXTURES = path.resolve(import.meta.dirname, '../../fixtures');
const read = <T>(name: string): T => JSON.parse(readFileSync(path.join(FIXTURES, name), 'utf8')) as T;

export const reference = read<Reference>('pytorch-reference.json');
export const referenceModel: Gpt2Config = { architecture: 'gpt2', ...reference.model };

interface LanguageReference {
  readonly logits: string;
  readonly loss: number;
  readonly gradients: Readonly<Record<string, string>>;
}
interface ClassifierReference {
  readonly inputs: string;
  readonly labels: readonly number[];
  readonly parameters: Readonly<Record<string, string>>;
  readonly logits: string;
  readonly smoothedLoss: number;
  readonly gradients: Readonly<Record<string, string>>;
}

/** What transformers, PEFT and PyTorch computed; test/fixtures/make_transformers_reference.py says how. */
export const models = read<{
  readonly batch: number;
  readonly context: number;
  readonly tokens: readonly number[];
  readonly targets: readonly number[];
  readonly llama: LanguageReference;
  readonly gpt2: LanguageReference;
  readonly lora: LanguageReference;
  readonly mlp: ClassifierReference;
  readonly cnn: ClassifierReference;
  readonly sgd: {
    readonly rate: number;
    readonly momentum: number;
    readonly weightDecay: number;
    readonly parameters: string;
  };
}>('models-reference.json');

export function unpackFloats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer);
}

/** The formula of the script, for tensor number `k`. */
export const formula = (elements: number, k: number): Float32Array =>
  Float32Array.from({ length: elements }, (_, i) => 0.2 * Math.sin(0.7 * i + k));

export const referenceParameters = (): ParameterArrays =>
  new Map(gpt2Parameters(referenceModel).map((spec, k) => [spec.name, formula(elementsOf(spec), k)]));

/** ‖a − b‖ / ‖b‖ */
export function relativeError(a: Float32Array, b: Float32Array): number {
  const norm = (x: Float32Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
  return norm(a.map((v, i) => v - b[i]!)) / Math.max(1e-12, norm(b));
}

export const ids = (list: readonly number[]): BigInt64Array => BigInt64Array.from(list, BigInt);

/** Compiles a graph on one thread and runs it once. */
export async function runOnce(graph: Graph, feeds: Readonly<Record<string, Tensor>>) {
  const session = await nodeRuntime().compile(graph, 'test', { threads: 1 });
  const results = await session.run(feeds);
  await session.release();
  return results;
}

export const feedsOf = (model: ModelConfig, parameters: ParameterArrays): Readonly<Record<string, Tensor>> =>
  Object.fromEntries(parametersOf(model).map(({ name, shape }) => [name, floatTensor(parameters.get(name)!, shape)]));

/** Logits, mean loss and gradients of a batch, as our graphs compute them. */
export async function compute(
  model: ModelConfig,
  parameters: ParameterArrays,
  input: Tensor,
  targets: readonly number[],
  labelSmoothing = 0,
) {
  const batchSize = input.dims[0]!;
  const fed = { ...feedsOf(model, parameters), input };
  const { outputs } = await runOnce(outputsGraph(model, batchSize), fed);
  const { graph } = gradientGraph(model, {
    batchSize,
    precision: 'float32',
    recompute: false,
    dropout: 0,
    labelSmoothing,
    accumulate: false,
  });
  const results = await runOnce(graph, {
    ...fed,
    targets: intTensor(ids(targets), [targets.length]),
    weights: floatTensor(new Float32Array(targets.length).fill(1), [targets.length, 1]),
    lossWeight: floatTensor(Float32Array.of(1 / targets.length), []),
  });
  return {
    logits: floatsOf(outputs!),
    loss: floatsOf(results.lossSum!)[0]! / targets.length,
    gradient: (name: string): Float32Array => floatsOf(results[`gradient:${name}`]!),
  };
}

/** Gradients that are off by more than `tolerance`, with their error; none when all agree. */
export const disagreeing = (
  gradient: (name: string) => Float32Array,
  expected: Readonly<Record<string, string>>,
  tolerance = 1e-4,
): readonly string[] =>
  Object.entries(expected).flatMap(([name, packed]) => {
    const error = relativeError(gradient(name), unpackFloats(packed));
    return error < tolerance ? [] : [`${name}: ${error}`];
  });
