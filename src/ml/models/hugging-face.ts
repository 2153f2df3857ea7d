import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { writeWhole } from '../../files.ts';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer.ts';
import type { ParameterArrays, ParameterSpec } from '../tensor/parameters.ts';
import { encodeSafetensors, openSafetensors, type Safetensors } from '../tensor/safetensors.ts';
import { configReader, foreignModel } from './config-reader.ts';
import {
  huggingFaceConfigOf,
  isLanguage,
  type LanguageConfig,
  loraOf,
  type ModelConfig,
  parametersOf,
  readModelConfig,
} from './model.ts';

/** A model with its weights, as a folder in Hugging Face layout holds it. */
export interface SavedModel {
  readonly model: ModelConfig;
  readonly parameters: ParameterArrays;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Writes `config.json` and `model.safetensors`; each file whole or not at all. An adapter's base goes without it. */
export function saveWeights(folder: string, { model, parameters }: SavedModel, endOfTextId = 0): void {
  const specs = parametersOf(withoutLora(model));
  const tensors = specs.map(({ name, shape }) => [name, { shape, data: parameters.get(name)! }] as const);
  writeWhole(path.join(folder, 'config.json'), json(huggingFaceConfigOf(model, endOfTextId)));
  writeWhole(path.join(folder, 'model.safetensors'), encodeSafetensors(new Map(tensors)));
}

/** Writes what `transformers` needs besides the weights to use a language model. */
export function saveTokenizer(
  folder: string,
  model: LanguageConfig,
  { endOfTextId, endOfText }: Tokenizer,
  tokenizerJson: string,
): void {
  const special = { bos_token: endOfText, eos_token: endOfText, unk_token: endOfText };
  writeWhole(
    path.join(folder, 'generation_config.json'),
    json({ bos_token_id: endOfTextId, eos_token_id: endOfTextId, do_sample: true, temperature: 0.8 }),
  );
  writeWhole(path.join(folder, 'tokenizer.json'), tokenizerJson);
  writeWhole(
    path.join(folder, 'tokenizer_config.json'),
    json({ tokenizer_class: 'PreTrainedTokenizerFast', model_max_length: model.contextLength, ...special }),
  );
  writeWhole(path.join(folder, 'special_tokens_map.json'), json(special));
}

/**
 * Reads a folder that {@link saveWeights} or `transformers` wrote: one weights file, or several with their index.
 *
 * @throws HelioError HELIO-3001 when a file is missing, damaged, of another architecture, or when tensors are missing,
 * surplus or of other sizes: all of them are named
 */
export function loadWeights(folder: string): SavedModel {
  const configFile = path.join(folder, 'config.json');
  const model = readModelConfig(configReader(readText(configFile), configFile));
  const files = weightFiles(folder).map((file) => ({ file, opened: openSafetensors(file) }));
  try {
    return {
      model,
      parameters: collect(
        folder,
        parametersOf(model),
        files.map(({ opened }) => opened),
      ),
    };
  } finally {
    for (const { opened } of files) opened.close();
  }
}

/** The tokenizer of a folder in Hugging Face layout, and its file's text. */
export function loadFolderTokenizer(folder: string): { readonly tokenizer: Tokenizer; readonly tokenizerJson: string } {
  const file = path.join(folder, 'tokenizer.json');
  const tokenizerJson = readText(file);
  return { tokenizer: loadTokenizer(tokenizerJson, file, endOfTextOf(folder)), tokenizerJson };
}

/** `eos_token` of tokenizer_config.json, where there is one. */
function endOfTextOf(folder: string): string | undefined {
  const file = path.join(folder, 'tokenizer_config.json');
  if (!existsSync(file)) return undefined;
  try {
    const { eos_token: token } = JSON.parse(readText(file)) as { eos_token?: string | { content?: string } | null };
    return typeof token === 'string' ? token : token?.content;
  } catch {
    throw foreignModel(file, 'it is not JSON');
  }
}

/** Buffers that GPT-2 checkpoints carry besides their weights, and heads that are the embedding again. */
const BESIDES = /(^|\.)(attn\.(masked_)?bias|rotary_emb\.inv_freq)$|^lm_head\.weight$/;

function collect(folder: string, specs: readonly ParameterSpec[], files: readonly Safetensors[]): ParameterArrays {
  const holders = new Map(files.flatMap((file) => [...file.shapes.keys()].map((name) => [name, file] as const)));
  // Older files leave out the model's own prefix.
  const [prefix] = specs[0]!.name.split('.');
  const plain = specs.every(({ name }) => holders.has(name)) ? '' : `${prefix}.`;
  const stored = (name: string): string =>
    !holders.has(name) && name.startsWith(plain) ? name.slice(plain.length) : name;
  const wrong: string[] = [];
  const parameters = new Map<string, Float32Array>();
  for (const { name, shape } of specs) {
    const holder = holders.get(stored(name));
    const found = holder?.shapes.get(stored(name));
    if (holder === undefined || found === undefined) wrong.push(`${name} is missing`);
    else if (found.join() !== shape.join())
      wrong.push(`${name} is [${found.join(', ')}], and config.json says [${shape.join(', ')}]`);
    else if (wrong.length === 0) parameters.set(name, holder.read(stored(name)));
  }
  const expected = new Set(specs.map(({ name }) => stored(name)));
  for (const name of holders.keys()) if (!expected.has(name) && !BESIDES.test(name)) wrong.push(`${name} is surplus`);
  if (wrong.length > 0) throw foreignModel(folder, summary(wrong));
  return parameters;
}

/** The first few, and how many more. */
const summary = (list: readonly string[]): string =>
  list.slice(0, 12).join('; ') + (list.length > 12 ? `; and ${list.length - 12} more` : '');

function weightFiles(folder: string): readonly string[] {
  const index = path.join(folder, 'model.safetensors.index.json');
  if (!existsSync(index)) return [path.join(folder, 'model.safetensors')];
  let names: readonly unknown[];
  try {
    names = Object.values((JSON.parse(readText(index)) as { weight_map: Record<string, unknown> }).weight_map);
  } catch {
    throw foreignModel(index, 'it has no weight_map');
  }
  return [...new Set(names)].map((name) => {
    if (typeof name !== 'string' || path.basename(name) !== name) throw foreignModel(index, `it names ${String(name)}`);
    return path.join(folder, name);
  });
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw foreignModel(file, `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
}

/** The model that an adapter is for. */
export function withoutLora(model: ModelConfig): ModelConfig {
  if (!isLanguage(model) || loraOf(model) === undefined) return model;
  const { lora: _, ...base } = model;
  return base as LanguageConfig;
}
