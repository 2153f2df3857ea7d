import { HelioError } from '../../errors.ts';

/** Reads a `config.json` with one clear error for each thing that does not fit. */
export interface ConfigReader {
  readonly modelType: string;
  value(key: string): unknown;
  /** The error that says what is wrong with `key`. */
  wrong(key: string, wanted: string): HelioError;
  /** A whole number from 1 to `most`. */
  size(key: string, most?: number): number;
  /** As {@link size}, or `otherwise` where the key is missing or null. */
  sizeOr<T>(key: string, otherwise: T, most?: number): number | T;
  number(key: string, otherwise: number): number;
  flag(key: string, otherwise: boolean): boolean;
  sizes(key: string): readonly number[];
  text(key: string, allowed: readonly string[]): string;
  /** Refuses any value of `key` but these; a missing key is fine, as `transformers` leaves defaults out. */
  expect(key: string, allowed: readonly unknown[]): void;
  /** The same for an object inside this one. */
  inside(key: string): ConfigReader;
  /**
   * To be called last.
   *
   * @param harmless keys that do not decide what is computed
   * @returns those of them that are there, and those that have the one value that was expected
   * @throws HelioError HELIO-3001 when a key was neither asked for nor is harmless: it might change what is computed
   */
  rest(harmless: readonly string[]): Readonly<Record<string, unknown>>;
}

const MOST = 2 ** 31;

/** @throws HelioError HELIO-3001 */
export function configReader(json: string, file: string): ConfigReader {
  let config: Readonly<Record<string, unknown>>;
  try {
    config = JSON.parse(json) as Readonly<Record<string, unknown>>;
  } catch {
    throw foreignModel(file, 'it is not JSON');
  }
  return objectReader(config, file);
}

/** @param name of the file, for messages @throws HelioError HELIO-3001 */
export function objectReader(config: Readonly<Record<string, unknown>>, file: string): ConfigReader {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw foreignModel(file, 'it is no JSON object');
  const asked = new Set<string>(['model_type']);
  const expected = new Set<string>();
  const value = (key: string): unknown => {
    asked.add(key);
    return Object.hasOwn(config, key) ? config[key] : undefined;
  };
  const wrong = (key: string, wanted: string): HelioError =>
    foreignModel(file, `${key} is ${JSON.stringify(config[key]) ?? 'missing'}, and ${wanted} is needed`);
  const isSize = (found: unknown): found is number => Number.isSafeInteger(found) && Number(found) >= 1;
  const size = (key: string, most = MOST): number => {
    const found = value(key);
    if (!isSize(found) || found > most)
      throw wrong(key, most === MOST ? 'a whole number of at least 1' : `a whole number from 1 to ${most}`);
    return found;
  };
  return {
    modelType: String(value('model_type')),
    value,
    wrong,
    size,
    sizeOr: (key, otherwise, most) => ((value(key) ?? null) === null ? otherwise : size(key, most)),
    number(key, otherwise) {
      const found = value(key) ?? otherwise;
      if (typeof found !== 'number' || !Number.isFinite(found)) throw wrong(key, 'a number');
      return found;
    },
    flag(key, otherwise) {
      const found = value(key) ?? otherwise;
      if (typeof found !== 'boolean') throw wrong(key, 'true or false');
      return found;
    },
    sizes(key) {
      const found = value(key);
      if (!Array.isArray(found) || found.length > 100 || !found.every(isSize)) throw wrong(key, 'a list of sizes');
      return found as readonly number[];
    },
    text(key, allowed) {
      const found = value(key);
      if (typeof found !== 'string' || !allowed.includes(found)) throw wrong(key, allowed.join(' or '));
      return found;
    },
    expect(key, allowed) {
      const found = value(key);
      expected.add(key);
      if (found !== undefined && !allowed.includes(found))
        throw wrong(key, allowed.map((v) => JSON.stringify(v)).join(' or '));
    },
    inside: (key) => objectReader(value(key) as Readonly<Record<string, unknown>>, `${file}, ${key},`),
    rest(harmless) {
      const notes: Record<string, unknown> = {};
      for (const [key, found] of Object.entries(config)) {
        if (harmless.includes(key) || expected.has(key)) {
          if (!WRITTEN_ANEW.includes(key)) notes[key] = found;
        } else if (!asked.has(key) && !key.startsWith('_') && found !== null) throw unknownKey(file, key, found);
      }
      return notes;
    },
  };
}

const unknownKey = (file: string, key: string, value: unknown): HelioError =>
  foreignModel(
    file,
    `${key} is ${JSON.stringify(value).slice(0, 80)}, and what this changes is not known here`,
    `Remove ${key} from it if it is a note that changes nothing; otherwise this model cannot be used.`,
  );

export const foreignModel = (
  file: string,
  detail: string,
  remedy = 'Name the folder of a finished run, or of a model of Hugging Face of a family that docs/models.md lists.',
): HelioError => new HelioError('HELIO-3001', `${file} is not part of a model that can be used: ${detail}.`, remedy);

/** Keys of a base that are not so any more in what is saved here. */
const WRITTEN_ANEW: readonly string[] = ['architectures', 'transformers_version', 'torch_dtype', 'dtype'];

/**
 * Keys that any model of `transformers` may have and that decide nothing about its logits: names of things, special tokens, how text
 * is drawn from it, what PyTorch keeps.
 */
export const HARMLESS: readonly string[] = [
  ...WRITTEN_ANEW,
  ...['auto_map', 'transformers.js_config'],
  ...['unsloth_fixed', 'unsloth_version', 'is_llama_config', 'tokenizer_class', 'prefix', 'task_specific_params'],
  ...['bos_token_id', 'eos_token_id', 'pad_token_id', 'sep_token_id', 'decoder_start_token_id', 'is_decoder'],
  ...['id2label', 'label2id', 'num_labels', 'problem_type', 'finetuning_task', 'initializer_range', 'use_cache'],
  ...['output_attentions', 'output_hidden_states', 'output_scores', 'output_past', 'return_dict', 'torchscript'],
  ...['return_dict_in_generate', 'use_bfloat16', 'tf_legacy_loss', 'tie_encoder_decoder', 'gradient_checkpointing'],
  // The same numbers, computed piece by piece.
  ...['chunk_size_feed_forward', 'pretraining_tp'],
  ...['max_length', 'min_length', 'do_sample', 'early_stopping', 'num_beams', 'num_beam_groups', 'diversity_penalty'],
  ...['temperature', 'top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty', 'no_repeat_ngram_size'],
  ...['encoder_no_repeat_ngram_size', 'bad_words_ids', 'num_return_sequences', 'forced_bos_token_id'],
  ...['forced_eos_token_id', 'remove_invalid_values', 'exponential_decay_length_penalty', 'suppress_tokens'],
  ...['begin_suppress_tokens', 'attn_implementation'],
];
