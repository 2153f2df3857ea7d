import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { huggingFaceConfigOf, type LanguageConfig, parametersOf } from '../../src/ml/models/model.ts';
import { elementsOf, type ParameterArrays } from '../../src/ml/tensor/parameters.ts';
import { layOutSafetensors } from '../../src/ml/tensor/safetensors-layout.ts';
import type { TensorSource } from '../../src/ml/tensor/tensor-source.ts';

/** A large model that takes no room: a file of zeros, but for the first and the last number of every tensor. */

/** With 16 layers it has 1.04 billion parameters. */
export const largeModel = (layers: number): LanguageConfig => ({
  architecture: 'llama',
  vocabularySize: 32_768,
  contextLength: 64,
  width: 2048,
  layers,
  heads: 32,
  keyValueHeads: 8,
  hiddenWidth: 8192,
  tied: true,
  ropeTheta: 10_000,
  normEpsilon: 1e-5,
});

/** The first and the last number of the tensor that is the `index`-th of the model. */
const mark = (index: number): number => index + 1;

/** Writes `config.json` and a sparse `model.safetensors`. */
export function makeSparse(folder: string, model: LanguageConfig): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(huggingFaceConfigOf(model)));
  const specs = parametersOf(model);
  const zeros = (shape: readonly number[]): TensorSource => ({ shape, read: (a, b) => new Float32Array(b - a) });
  const layout = layOutSafetensors(new Map(specs.map(({ name, shape }) => [name, zeros(shape)])));
  const bytes = specs.reduce((sum, spec) => sum + 4 * elementsOf(spec), 0);
  const file = path.join(folder, 'model.safetensors');
  writeFileSync(file, layout.subarray(0, layout.length - bytes));
  truncateSync(file, layout.length);
  const descriptor = openSync(file, 'r+');
  let at = layout.length - bytes;
  for (const [index, spec] of specs.entries()) {
    const number = new Uint8Array(Float32Array.of(mark(index)).buffer);
    writeSync(descriptor, number, 0, 4, at);
    at += 4 * elementsOf(spec);
    writeSync(descriptor, number, 0, 4, at - 4);
  }
  closeSync(descriptor);
}

/** Reads every tensor whole, one after the other. @throws when one is not as it was made */
export function requireMarks(model: LanguageConfig, arrays: ParameterArrays): void {
  for (const [index, { name, shape }] of parametersOf(model).entries()) {
    const data = arrays.get(name);
    if (data?.length !== elementsOf({ shape })) throw new Error(`${name} has ${data?.length} elements`);
    requireMark(index, name, data[0]);
    requireMark(index, name, data.at(-1));
  }
}

export function requireMark(index: number, name: string, number: number | undefined): void {
  if (number !== mark(index)) throw new Error(`${name} is marked ${number} and not ${mark(index)}`);
}
