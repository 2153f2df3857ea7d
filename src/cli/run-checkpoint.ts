import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { AggregationState } from '../coordinator/aggregation.ts';
import { explainSystemError } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { type ModelConfig, parametersOf } from '../ml/models/model.ts';
import { type ParameterArrays, trainable } from '../ml/tensor/parameters.ts';
import { decodeSafetensors, encodeSafetensors } from '../ml/tensor/safetensors.ts';

/** The tensors of a run's checkpoint: one safetensors file for each part, by the model's own names and shapes. */

const PARTS = ['parameters', 'velocity', 'second', 'residual'] as const;

export function saveCheckpoint(folder: string, model: ModelConfig, state: AggregationState): void {
  for (const part of PARTS) {
    if (state[part].size > 0) saveTensors(path.join(folder, `${part}.safetensors`), model, state[part]);
  }
  const memories = state.memories.map((data, i) => [String(i), { shape: [data.length], data }] as const);
  const metadata = { steps: JSON.stringify(state.steps) };
  writeWhole(path.join(folder, 'fragments.safetensors'), encodeSafetensors(new Map(memories), metadata));
}

/** @throws HelioError HELIO-3001 when a file is damaged */
export function loadCheckpoint(folder: string, withSecond: boolean): AggregationState {
  const arrays = (name: string): ParameterArrays =>
    new Map([...read(folder, name).tensors].map(([key, { data }]) => [key, data]));
  const { tensors, metadata } = read(folder, 'fragments');
  return {
    parameters: arrays('parameters'),
    velocity: arrays('velocity'),
    second: withSecond ? arrays('second') : new Map(),
    residual: arrays('residual'),
    memories: Array.from({ length: tensors.size }, (_, i) => tensors.get(String(i))!.data),
    steps: JSON.parse(metadata.steps ?? '[]') as readonly number[],
  };
}

function read(folder: string, name: string): ReturnType<typeof decodeSafetensors> {
  const file = path.join(folder, `${name}.safetensors`);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw explainSystemError(error, `read the checkpoint ${file}`);
  }
  return decodeSafetensors(bytes, file);
}

function saveTensors(file: string, model: ModelConfig, arrays: ParameterArrays): void {
  const tensors = trainable(parametersOf(model)).map(
    ({ name, shape }) => [name, { shape, data: arrays.get(name)! }] as const,
  );
  writeWhole(file, encodeSafetensors(new Map(tensors)));
}
