import { seededRandom } from './random.ts';

/** What a model says of one of its parameters: enough to create it, to optimize it and to send it. */
export interface ParameterSpec {
  /** The name in the Hugging Face layout of the model. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Standard deviation of the initial normal values; or all zeros or ones. */
  readonly initial: { readonly normal: number } | 'zeros' | 'ones';
  /**
   * embedding: rows looked up by token or position, and the head · matrix: between layers, Muon's kind · kernel: of a
   * convolution · vector: biases and norms, exempt from weight decay.
   */
  readonly role: Role;
  /** How a matrix is kept: [in, out] as GPT-2's (the default), or [out, in] as PyTorch's Linear. */
  readonly layout?: 'in-out' | 'out-in';
  /** An [in, out] matrix that holds several side by side (q, k, v): Muon orthogonalizes each on its own. */
  readonly columnBlocks?: number;
  /** Part of the model, but not trained: the base of an adapter. */
  readonly frozen?: boolean;
}

export type Role = 'embedding' | 'matrix' | 'kernel' | 'vector';

/** Named float32 arrays, row-major, in the order of the model's specs. */
export type ParameterArrays = ReadonlyMap<string, Float32Array>;

export const elementsOf = (spec: Pick<ParameterSpec, 'shape'>): number =>
  spec.shape.reduce((product, d) => product * d, 1);

export const countParameters = (specs: readonly ParameterSpec[]): number =>
  specs.reduce((sum, spec) => sum + elementsOf(spec), 0);

/** Those that are trained. */
export const trainable = (specs: readonly ParameterSpec[]): readonly ParameterSpec[] =>
  specs.filter((spec) => spec.frozen !== true);

/** Fresh parameters; each tensor has its own stream, so that adding one does not change the others. */
export const initializeParameters = (specs: readonly ParameterSpec[], seed: number): ParameterArrays =>
  new Map(specs.map((spec, index) => [spec.name, initializeParameter(spec, index, seed)]));

/** One of them. @param index among the model's specs */
export function initializeParameter(spec: ParameterSpec, index: number, seed: number): Float32Array {
  const data = new Float32Array(elementsOf(spec));
  if (spec.initial === 'ones') return data.fill(1);
  if (spec.initial === 'zeros') return data;
  const random = seededRandom(seed, index);
  for (let i = 0; i < data.length; i++) data[i] = random.normal() * spec.initial.normal;
  return data;
}
