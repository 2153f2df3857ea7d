import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { ConfigReader } from './config-reader.ts';
import { FAMILIES } from './families.ts';
import { type ExampleFamily, type GgufLayout, type LanguageFamily, positionsOf } from './family.ts';
import type { ForwardPass } from './forward-pass.ts';
import { type LoraConfig, withLora } from './lora.ts';

/** What the rest of the program does with a model of any family: it looks the family up in the table and asks it. */

type AnyFamily = (typeof FAMILIES)[keyof typeof FAMILIES];
/** Models that read token sequences. */
export type LanguageConfig = AnyFamily extends infer F ? (F extends LanguageFamily<infer C> ? C : never) : never;
/** Models that read one example of fixed size. */
export type ExampleConfig = AnyFamily extends infer F ? (F extends ExampleFamily<infer C> ? C : never) : never;
export type ModelConfig = LanguageConfig | ExampleConfig;
export type Architecture = ModelConfig['architecture'];

type Asked = Omit<LanguageFamily<LanguageConfig>, 'kind'> &
  Omit<ExampleFamily<ModelConfig>, 'kind'> & { readonly kind: 'language' | 'examples' };
/** A config is only ever given to the family that its `architecture` names, and only a language model is asked what they alone know. */
const familyOf = ({ architecture }: ModelConfig): Asked => FAMILIES[architecture] as unknown as Asked;

export const isLanguage = (config: ModelConfig): config is LanguageConfig => familyOf(config).kind === 'language';

/** What a model is called, as in "a Llama language model". */
export const titleOf = (config: ModelConfig): string => familyOf(config).title;

export const loraOf = (config: ModelConfig): LoraConfig | undefined => (isLanguage(config) ? config.lora : undefined);

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
export const checkModel = (config: ModelConfig): void => familyOf(config).check(config as never);

/** Every parameter in the model's own order; with LoRA the frozen base, then the adapters. */
export function parametersOf(config: ModelConfig): readonly ParameterSpec[] {
  const base = familyOf(config).parameters(config as never);
  const lora = loraOf(config);
  return lora === undefined ? base : withLora(base, lora);
}

/** Outputs of the forward pass, one row a token or example: logits, or predictions of a regression. */
export const outputsOf = (pass: ForwardPass, config: ModelConfig, input: Value): Value =>
  familyOf(config).outputs(pass, config as never, input);

/** Shape of the input for a batch. */
export const inputShapeOf = (config: ModelConfig, batch: number): readonly number[] =>
  isLanguage(config) ? [batch, config.contextLength] : familyOf(config).inputShape(config, batch);

export const isRegression = (config: ModelConfig): boolean =>
  config.architecture === 'mlp' && config.task === 'regression';

/** Numbers that one token's keys, or values, take in a layer. */
export const keyValueWidth = (config: LanguageConfig): number => familyOf(config).keyValueWidth(config);

/** Layers that get an adapter where nobody names others. */
export const loraTargetsOf = (config: LanguageConfig): readonly string[] => familyOf(config).loraTargets;

export const ggufLayoutOf = (config: LanguageConfig): GgufLayout => familyOf(config).gguf(config);

/** The same model, used at a shorter context. */
export const withContext = (config: LanguageConfig, contextLength: number): LanguageConfig => ({
  ...config,
  contextLength,
  ...(positionsOf(config) === contextLength ? {} : { positions: positionsOf(config) }),
});

/** Numbers of the tokens that begin and end a text, as `config.json` names them. */
export interface TokenIds {
  readonly bos_token_id: number;
  readonly eos_token_id: number;
}

/**
 * `config.json` as `transformers` reads it: a base's own but for what decides what is computed.
 *
 * @param special of a model that did not begin with a base; a base's special tokens are kept
 */
export function huggingFaceConfigOf(config: ModelConfig, special?: TokenIds): Readonly<Record<string, unknown>> {
  const family = familyOf(config);
  const own = { model_type: family.modelType, ...family.huggingFaceConfig(config as never), torch_dtype: 'float32' };
  if (!isLanguage(config)) return own;
  return { ...own, ...special, ...config.notes };
}

/** @throws HelioError HELIO-3001 when the architecture is unknown, or a key can neither be honoured nor left aside */
export function readModelConfig(config: ConfigReader): ModelConfig {
  const families: readonly AnyFamily[] = Object.values(FAMILIES);
  const family = families.find(({ modelType }) => modelType === config.modelType);
  if (family === undefined) throw config.wrong('model_type', families.map(({ modelType }) => modelType).join(', '));
  return family.readConfig(config);
}
