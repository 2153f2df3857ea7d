import { readFileSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { writeWhole } from '../../files.ts';
import { END_OF_TEXT } from '../data/bpe-training.ts';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer.ts';
import type { ParameterArrays } from '../tensor/parameters.ts';
import { decodeSafetensors, encodeSafetensors } from '../tensor/safetensors.ts';
import { type Gpt2Config, gpt2HuggingFaceConfig, gpt2Parameters } from './gpt2.ts';

/** A trained model with what is needed to use it. */
export interface SavedModel {
  readonly model: Gpt2Config;
  readonly parameters: ParameterArrays;
  readonly tokenizer: Tokenizer;
}

/** Writes a folder that `transformers` loads with `from_pretrained`; each file whole or not at all. */
export function saveModel(folder: string, { model, parameters, tokenizer }: SavedModel, tokenizerJson: string): void {
  const end = tokenizer.endOfTextId;
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const special = { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: END_OF_TEXT };
  const tensors = gpt2Parameters(model).map(
    ({ name, shape }) => [name, { shape, data: parameters.get(name)! }] as const,
  );
  writeWhole(path.join(folder, 'config.json'), json(gpt2HuggingFaceConfig(model, end)));
  writeWhole(
    path.join(folder, 'generation_config.json'),
    json({ bos_token_id: end, eos_token_id: end, do_sample: true, temperature: 0.8 }),
  );
  writeWhole(path.join(folder, 'tokenizer.json'), tokenizerJson);
  writeWhole(
    path.join(folder, 'tokenizer_config.json'),
    json({ tokenizer_class: 'PreTrainedTokenizerFast', model_max_length: model.contextLength, ...special }),
  );
  writeWhole(path.join(folder, 'special_tokens_map.json'), json(special));
  writeWhole(path.join(folder, 'model.safetensors'), encodeSafetensors(new Map(tensors)));
}

/**
 * Reads a folder that {@link saveModel} or `transformers` wrote.
 *
 * @throws HelioError HELIO-3001 when a file is missing, damaged, of another architecture or of other sizes
 */
export function loadModel(folder: string): SavedModel {
  const model = readConfig(path.join(folder, 'config.json'));
  const tokenizerFile = path.join(folder, 'tokenizer.json');
  const tokenizer = loadTokenizer(new TextDecoder().decode(read(tokenizerFile)), tokenizerFile);
  const weights = path.join(folder, 'model.safetensors');
  const { tensors } = decodeSafetensors(read(weights), weights);
  const parameters = new Map(
    gpt2Parameters(model).map(({ name, shape }) => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw foreign(weights, `it has no tensor ${name}`);
      if (tensor.shape.join() !== shape.join())
        throw foreign(weights, `${name} is [${tensor.shape.join(', ')}], and config.json says [${shape.join(', ')}]`);
      return [name, tensor.data];
    }),
  );
  return { model, parameters, tokenizer };
}

function readConfig(file: string): Gpt2Config {
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(new TextDecoder().decode(read(file))) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof HelioError) throw error;
    throw foreign(file, 'it is not JSON');
  }
  if (config.model_type !== 'gpt2')
    throw foreign(file, `its model_type is ${String(config.model_type)}, and gpt2 is read`);
  const size = (key: string): number => {
    const value = config[key];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
      throw foreign(file, `${key} is ${String(value)}`);
    return value;
  };
  return {
    architecture: 'gpt2',
    vocabularySize: size('vocab_size'),
    contextLength: size('n_positions'),
    width: size('n_embd'),
    layers: size('n_layer'),
    heads: size('n_head'),
  };
}

function read(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw foreign(file, `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
}

const foreign = (file: string, detail: string): HelioError =>
  new HelioError(
    'HELIO-3001',
    `${file} is not part of a model that can be used: ${detail}.`,
    'Name the folder of a finished run, or of a GPT-2 model in Hugging Face layout.',
  );
