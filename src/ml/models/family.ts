import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { ConfigReader } from './config-reader.ts';
import type { ForwardPass } from './forward-pass.ts';
import type { LoraConfig } from './lora.ts';

/** What the file of a model family says of itself; `families.ts` is the table of them. */
interface Family<C> {
  /** As in "a Llama language model of 12 M parameters". */
  readonly title: string;
  /** `model_type` of config.json. */
  readonly modelType: string;
  /** @throws HelioError HELIO-1002 when the sizes do not fit together */
  check(config: C): void;
  /** Every parameter in the model's own order, under its name in Hugging Face layout. */
  parameters(config: C): readonly ParameterSpec[];
  /** @returns one row a token or example: logits, or the predictions of a regression */
  outputs(pass: ForwardPass, config: C, input: Value): Value;
  /** The keys of config.json that decide what is computed. */
  huggingFaceConfig(config: C): Readonly<Record<string, unknown>>;
  /**
   * Reads what `transformers` or {@link huggingFaceConfig} wrote: every key is honoured or refused.
   *
   * @throws HelioError HELIO-3001
   */
  readConfig(config: ConfigReader): C;
}

/** Reads token sequences. */
export interface LanguageFamily<C extends LanguageSizes> extends Family<C> {
  readonly kind: 'language';
  /** Layers that get an adapter unless the run file names others: every matrix of attention and MLP. */
  readonly loraTargets: readonly string[];
  /** Numbers that one token's keys, or values, take in a layer. */
  keyValueWidth(config: C): number;
  /** @throws HelioError HELIO-1006 when llama.cpp has no words for what the config says */
  gguf(config: C): GgufLayout;
}

/** Reads one example of fixed size. */
export interface ExampleFamily<C> extends Family<C> {
  readonly kind: 'examples';
  inputShape(config: C, batch: number): readonly number[];
}

/** What the rest of the program asks of every language model. */
export interface LanguageSizes {
  readonly architecture: string;
  readonly vocabularySize: number;
  /** Tokens that the model sees at once as it is used here. */
  readonly contextLength: number;
  /** Positions that it was made for, where they are more. */
  readonly positions?: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly lora?: LoraConfig;
  /** Keys of a base's config.json that do not decide what is computed; they are saved again as they were. */
  readonly notes?: Readonly<Record<string, unknown>>;
}

/** How llama.cpp calls what a family has. */
export interface GgufLayout {
  readonly architecture: string;
  /** Keys under the architecture's name, beside those that every model has. */
  readonly metadata: readonly (readonly [key: string, value: GgufValue])[];
  /** Parts of names, replaced one after the other. */
  readonly names: readonly (readonly [RegExp, string])[];
  /** Tensors that follow from the config alone. */
  readonly computed?: readonly { readonly name: string; readonly data: Float32Array }[];
  /** A tensor in llama.cpp's order, where that is another one. */
  arrange?(name: string, data: Float32Array): Float32Array;
}

export type GgufValue =
  | { readonly kind: 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'int32s' | 'float32s'; readonly value: readonly number[] };

export const uint32 = (value: number): GgufValue => ({ kind: 'uint32', value });
export const float32 = (value: number): GgufValue => ({ kind: 'float32', value });

export const positionsOf = ({ positions, contextLength }: LanguageSizes): number => positions ?? contextLength;
