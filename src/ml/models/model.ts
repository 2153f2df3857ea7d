import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { type CnnConfig, checkCnn, cnnHuggingFaceConfig, cnnLogits, cnnParameters, readCnnConfig } from './cnn.ts';
import type { ConfigReader } from './config-reader.ts';
import type { ForwardPass } from './forward-pass.ts';
import {
  checkGpt2,
  type Gpt2Config,
  gpt2HuggingFaceConfig,
  gpt2Logits,
  gpt2Parameters,
  readGpt2Config,
} from './gpt2.ts';
import {
  checkLlama,
  type LlamaConfig,
  llamaHuggingFaceConfig,
  llamaLogits,
  llamaParameters,
  readLlamaConfig,
} from './llama.ts';
import { type LoraConfig, withLora } from './lora.ts';
import { type MlpConfig, mlpHuggingFaceConfig, mlpOutputs, mlpParameters, readMlpConfig } from './mlp.ts';

/** Models that read token sequences. */
export type LanguageConfig = Gpt2Config | LlamaConfig;
/** Models that read one example of fixed size. */
export type ExampleConfig = MlpConfig | CnnConfig;
export type ModelConfig = LanguageConfig | ExampleConfig;
export type Architecture = ModelConfig['architecture'];

/** What each model file says of itself. */
interface Family<C> {
  readonly check: (config: C) => void;
  readonly parameters: (config: C) => readonly ParameterSpec[];
  readonly outputs: (pass: ForwardPass, config: C, input: Value) => Value;
  readonly huggingFaceConfig: (config: C, endOfTextId: number) => Readonly<Record<string, unknown>>;
  readonly readConfig: (config: ConfigReader) => C;
}

const families: { readonly [A in Architecture]: Family<Extract<ModelConfig, { architecture: A }>> } = {
  gpt2: {
    check: checkGpt2,
    parameters: gpt2Parameters,
    outputs: gpt2Logits,
    huggingFaceConfig: gpt2HuggingFaceConfig,
    readConfig: readGpt2Config,
  },
  llama: {
    check: checkLlama,
    parameters: llamaParameters,
    outputs: llamaLogits,
    huggingFaceConfig: llamaHuggingFaceConfig,
    readConfig: readLlamaConfig,
  },
  mlp: {
    check: () => {},
    parameters: mlpParameters,
    outputs: mlpOutputs,
    huggingFaceConfig: mlpHuggingFaceConfig,
    readConfig: readMlpConfig,
  },
  cnn: {
    check: checkCnn,
    parameters: cnnParameters,
    outputs: cnnLogits,
    huggingFaceConfig: cnnHuggingFaceConfig,
    readConfig: readCnnConfig,
  },
};

const familyOf = (config: ModelConfig): Family<ModelConfig> => families[config.architecture] as Family<ModelConfig>;

/** `model_type` of config.json for each architecture. */
const MODEL_TYPES: Readonly<Record<string, Architecture>> = {
  gpt2: 'gpt2',
  llama: 'llama',
  'heliotrope-mlp': 'mlp',
  'heliotrope-cnn': 'cnn',
};

export const isLanguage = (config: ModelConfig): config is LanguageConfig =>
  config.architecture === 'gpt2' || config.architecture === 'llama';

export const loraOf = (config: ModelConfig): LoraConfig | undefined => (isLanguage(config) ? config.lora : undefined);

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
export const checkModel = (config: ModelConfig): void => familyOf(config).check(config);

/** Every parameter in the model's own order; with LoRA the frozen base, then the adapters. */
export function parametersOf(config: ModelConfig): readonly ParameterSpec[] {
  const base = familyOf(config).parameters(config);
  const lora = loraOf(config);
  return lora === undefined ? base : withLora(base, lora);
}

/** Outputs of the forward pass, one row a token or example: logits, or predictions of a regression. */
export const outputsOf = (pass: ForwardPass, config: ModelConfig, input: Value): Value =>
  familyOf(config).outputs(pass, config, input);

/** Shape of the input for a batch, and what one row of the output is. */
export function inputShapeOf(config: ModelConfig, batch: number): readonly number[] {
  switch (config.architecture) {
    case 'gpt2':
    case 'llama':
      return [batch, config.contextLength];
    case 'mlp':
      return [batch, config.inputs];
    case 'cnn':
      return [batch, config.channels, config.height, config.width];
  }
}

export const isRegression = (config: ModelConfig): boolean =>
  config.architecture === 'mlp' && config.task === 'regression';

export const huggingFaceConfigOf = (config: ModelConfig, endOfTextId: number): Readonly<Record<string, unknown>> =>
  familyOf(config).huggingFaceConfig(config, endOfTextId);

/** @throws HelioError HELIO-3001 when the architecture is unknown or a value does not fit */
export function readModelConfig(config: ConfigReader): ModelConfig {
  const architecture = MODEL_TYPES[config.modelType];
  if (architecture === undefined) throw config.wrong('model_type', Object.keys(MODEL_TYPES).join(', '));
  return families[architecture].readConfig(config);
}
