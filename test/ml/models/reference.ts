import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Gpt2Config } from '../../../src/ml/models/gpt2.ts';
import { gpt2Parameters } from '../../../src/ml/models/gpt2.ts';
import { elementsOf, type ParameterArrays } from '../../../src/ml/tensor/parameters.ts';

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

const file = path.resolve(import.meta.dirname, '../../fixtures/pytorch-reference.json');
export const reference = JSON.parse(readFileSync(file, 'utf8')) as Reference;
export const referenceModel: Gpt2Config = { architecture: 'gpt2', ...reference.model };

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
