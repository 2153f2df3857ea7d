import path from 'node:path';
import { writeWhole } from '../../files.ts';
import type { ParameterArrays, ParameterSpec } from '../tensor/parameters.ts';
import { FLOAT_TYPES, openSafetensors, type Safetensors } from '../tensor/safetensors.ts';
import { LazyArrays, sourceOf, type TensorSource } from '../tensor/tensor-source.ts';
import { configReader, foreignModel } from './config-reader.ts';
import {
  huggingFaceConfigOf,
  isLanguage,
  type LanguageConfig,
  loraOf,
  type ModelConfig,
  parametersOf,
  readModelConfig,
  type TokenIds,
} from './model.ts';
import { readText, SHARD_BYTES, weightFiles, writeShards } from './shards.ts';

/** A model with its weights, as a folder in Hugging Face layout holds it. */
export interface SavedModel {
  readonly model: ModelConfig;
  readonly parameters: ParameterArrays;
}

export interface OpenedModel extends SavedModel {
  readonly parameters: LazyArrays;
  close(): void;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/**
 * Writes `config.json` and the weights: `model.safetensors`, or several files with their index where one would be larger than `shardBytes`.
 * Each file is written whole or not at all, and piece by piece. An adapter's base goes without it.
 *
 * @param tokenIds of a language model, those of the tokens that begin and end a text
 */
export function saveWeights(
  folder: string,
  { model, parameters }: SavedModel,
  tokenIds: TokenIds | undefined = undefined,
  shardBytes: number = SHARD_BYTES,
): void {
  const specs = parametersOf(withoutLora(model));
  writeWhole(path.join(folder, 'config.json'), json(huggingFaceConfigOf(model, tokenIds)));
  writeShards(folder, new Map(specs.map(({ name, shape }) => [name, sourceOf(parameters, name, shape)])), shardBytes);
}

/**
 * Reads a folder that {@link saveWeights} or `transformers` wrote: one weights file, or several with their index.
 *
 * @throws HelioError HELIO-3001 when a file is missing, damaged, of another architecture, or when tensors are missing,
 * surplus or of other sizes: all of them are named
 */
export function loadWeights(folder: string): SavedModel {
  const { model, parameters, close } = openWeights(folder);
  try {
    return { model, parameters: new Map(parameters) };
  } finally {
    close();
  }
}

/** The same, and each tensor is read when it is asked for: the files are as they were when they were opened, until they are closed. */
export function openWeights(folder: string): OpenedModel {
  const configFile = path.join(folder, 'config.json');
  const model = readModelConfig(configReader(readText(configFile), configFile));
  const opened: Safetensors[] = [];
  const close = (): void => {
    for (const file of opened) file.close();
  };
  try {
    for (const file of weightFiles(folder)) opened.push(openSafetensors(file));
    return { model, parameters: new LazyArrays(collect(folder, parametersOf(model), opened)), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Buffers that GPT-2 checkpoints carry besides their weights, and heads that are the embedding again. */
const BESIDES = /(^|\.)(attn\.(masked_)?bias|rotary_emb\.inv_freq)$|^lm_head\.weight$/;

function collect(
  folder: string,
  specs: readonly ParameterSpec[],
  files: readonly Safetensors[],
): ReadonlyMap<string, TensorSource> {
  const holders = new Map(files.flatMap((file) => [...file.shapes.keys()].map((name) => [name, file] as const)));
  // Older files leave out the model's own prefix.
  const [prefix] = specs[0]!.name.split('.');
  const plain = specs.every(({ name }) => holders.has(name)) ? '' : `${prefix}.`;
  const stored = (name: string): string =>
    !holders.has(name) && name.startsWith(plain) ? name.slice(plain.length) : name;
  const wrong: string[] = [];
  const parameters = new Map<string, TensorSource>();
  for (const { name, shape } of specs) {
    const holder = holders.get(stored(name));
    const found = holder?.shapes.get(stored(name));
    if (holder === undefined || found === undefined) wrong.push(`${name} is missing`);
    else if (found.join() !== shape.join())
      wrong.push(`${name} is [${found.join(', ')}], and config.json says [${shape.join(', ')}]`);
    else if (!FLOAT_TYPES.includes(holder.types.get(stored(name))!))
      wrong.push(`${name} is of type ${holder.types.get(stored(name))}, and ${FLOAT_TYPES.join(', ')} are read`);
    else parameters.set(name, holder.tensors.get(stored(name))!);
  }
  const expected = new Set(specs.map(({ name }) => stored(name)));
  for (const name of holders.keys()) if (!expected.has(name) && !BESIDES.test(name)) wrong.push(`${name} is surplus`);
  if (wrong.length > 0) throw foreignModel(folder, summary(wrong));
  return parameters;
}

/** The first few, and how many more. */
const summary = (list: readonly string[]): string =>
  list.slice(0, 12).join('; ') + (list.length > 12 ? `; and ${list.length - 12} more` : '');

/** The model that an adapter is for. */
export function withoutLora(model: ModelConfig): ModelConfig {
  if (!isLanguage(model) || loraOf(model) === undefined) return model;
  const { lora: _, ...base } = model;
  return base as LanguageConfig;
}
