import { readFileSync } from 'node:fs';
import path from 'node:path';
import { writeWhole } from '../../files.ts';
import { elementsOf, type ParameterArrays, type ParameterSpec } from '../tensor/parameters.ts';
import { openSafetensors } from '../tensor/safetensors.ts';
import { writeSafetensors } from '../tensor/safetensors-layout.ts';
import { LazyArrays, lazySources, sourceOf, type TensorSource } from '../tensor/tensor-source.ts';
import { foreignModel } from './config-reader.ts';
import { type LoraConfig, loraName, loraTargets } from './lora.ts';
import { isLanguage, type LanguageConfig, type ModelConfig, parametersOf } from './model.ts';

/** LoRA adapters in the layout of PEFT: `adapter_config.json` and `adapter_model.safetensors`. */

/** PEFT wraps a model twice before its own names begin. */
const PREFIX = 'base_model.model.';

/** Writes the adapters of a model. @param base where PEFT finds the base: a folder or a name on the hub */
export function saveAdapter(folder: string, model: LanguageConfig, parameters: ParameterArrays, base: string): void {
  const { rank, alpha, targets } = model.lora!;
  const adapters = parametersOf(model).filter((spec) => spec.frozen !== true);
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: targets,
    bias: 'none',
    // Whether the base keeps its matrices as [in, out], as GPT-2 does.
    fan_in_fan_out: parametersOf(model).some((spec) => isAdapted(spec, model) && spec.layout !== 'out-in'),
    inference_mode: true,
  };
  const tensors = adapters.map(({ name, shape }) => [PREFIX + name, sourceOf(parameters, name, shape)] as const);
  writeWhole(path.join(folder, 'adapter_config.json'), `${JSON.stringify(config, null, 2)}\n`);
  writeSafetensors(path.join(folder, 'adapter_model.safetensors'), new Map(tensors));
}

/**
 * Reads adapters for a base model.
 *
 * @returns the model with its adapters, and the adapters' weights
 * @throws HelioError HELIO-3001 when files are missing or damaged, or do not belong to the base
 */
export function loadAdapter(
  folder: string,
  base: LanguageConfig,
): { readonly model: LanguageConfig; readonly parameters: ParameterArrays } {
  const configFile = path.join(folder, 'adapter_config.json');
  const model: LanguageConfig = { ...base, lora: readLora(configFile) };
  const file = path.join(folder, 'adapter_model.safetensors');
  const opened = openSafetensors(file);
  try {
    const parameters = new Map<string, Float32Array>();
    const wanted = parametersOf(model).filter((spec) => spec.frozen !== true);
    for (const { name, shape } of wanted) {
      const found = opened.shapes.get(PREFIX + name);
      if (found === undefined) throw foreignModel(file, `it has no ${PREFIX + name}`);
      if (found.join() !== shape.join())
        throw foreignModel(file, `${name} is [${found.join(', ')}], and the base needs [${shape.join(', ')}]`);
      parameters.set(name, opened.read(PREFIX + name));
    }
    const known = new Set(wanted.map(({ name }) => PREFIX + name));
    const surplus = [...opened.shapes.keys()].filter((name) => !known.has(name));
    if (surplus.length > 0) throw foreignModel(file, `${surplus.slice(0, 5).join(', ')} do not belong to the base`);
    return { model, parameters };
  } finally {
    opened.close();
  }
}

const isAdapted = ({ frozen, role, name }: ParameterSpec, { lora }: LanguageConfig): boolean =>
  frozen === true && role === 'matrix' && loraTargets(lora!, name.replace(/\.weight$/, ''));

function readLora(file: string): LoraConfig {
  let config: Readonly<Record<string, unknown>>;
  try {
    config = JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw foreignModel(file, `it cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
  const {
    peft_type: type,
    r: rank,
    lora_alpha: alpha,
    target_modules: targets,
    use_rslora: rs,
    use_dora: dora,
  } = config;
  const patterned = [config.rank_pattern, config.alpha_pattern].some(
    (p) => Object.keys((p as object | null) ?? {}).length > 0,
  );
  if (type !== 'LORA' || rs === true || dora === true || patterned)
    throw foreignModel(file, 'it is no plain LoRA adapter');
  if (!Number.isSafeInteger(rank) || Number(rank) < 1 || typeof alpha !== 'number' || !Array.isArray(targets))
    throw foreignModel(file, 'r, lora_alpha or target_modules is missing');
  return { rank: Number(rank), alpha, targets: targets.map(String) };
}

/** W + (alpha / rank) · B · A for every adapted layer, computed when it is read: the model without adapters that computes the same. */
export function mergeAdapters(model: ModelConfig, parameters: ParameterArrays): ParameterArrays {
  if (!isLanguage(model) || model.lora === undefined) return parameters;
  const { lora } = model;
  const lazy = lazySources();
  const merged = new Map<string, TensorSource>();
  for (const { name, shape, layout, role, frozen } of parametersOf(model)) {
    if (frozen !== true) continue;
    const layer = name.replace(/\.weight$/, '');
    const [a, b] = [parameters.get(loraName(layer, 'A')), parameters.get(loraName(layer, 'B'))];
    const own = sourceOf(parameters, name, shape);
    if (role !== 'matrix' || !loraTargets(lora, layer) || a === undefined || b === undefined) merged.set(name, own);
    else
      merged.set(
        name,
        lazy(shape, () => addProduct(own.read(0, elementsOf(own)), shape, layout === 'out-in', a, b, lora)),
      );
  }
  return new LazyArrays(merged);
}

function addProduct(
  weight: Float32Array,
  shape: readonly number[],
  outFirst: boolean,
  a: Float32Array,
  b: Float32Array,
  { rank, alpha }: LoraConfig,
): Float32Array {
  const [outputs, inputs] = (outFirst ? shape : shape.toReversed()) as readonly [number, number];
  const sum = weight.slice();
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < rank; r++) {
      const factor = (b[o * rank + r]! * alpha) / rank;
      if (factor === 0) continue;
      for (let i = 0; i < inputs; i++) sum[outFirst ? o * inputs + i : i * outputs + o]! += factor * a[r * inputs + i]!;
    }
  }
  return sum;
}
