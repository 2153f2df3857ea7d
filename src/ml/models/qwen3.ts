import {
  DECODER_HARMLESS,
  type DecoderConfig,
  decoder,
  decoderGguf,
  decoderHuggingFaceConfig,
  noGguf,
  readDecoder,
  windowed,
} from './decoder.ts';
import type { LanguageFamily } from './family.ts';
import { QWEN_WINDOW, readQwenWindow } from './qwen2.ts';

/** Qwen3 (arXiv 2505.09388): heads of a width of their own, q and k normalized. In the layout of `Qwen3ForCausalLM`. */
export interface Qwen3Config extends DecoderConfig {
  readonly architecture: 'qwen3';
}

/** What `transformers` takes where config.json says nothing. */
const DEFAULTS = { headWidth: 128, keyValueHeads: 32 };

export const qwen3: LanguageFamily<Qwen3Config> = {
  ...decoder,
  title: 'Qwen3 language model',
  modelType: 'qwen3',
  huggingFaceConfig: (config) => ({
    architectures: ['Qwen3ForCausalLM'],
    ...decoderHuggingFaceConfig(config),
    attention_bias: config.attentionBias !== undefined,
  }),
  readConfig(config) {
    const sizes = readDecoder(config, DEFAULTS);
    const bias = config.flag('attention_bias', false) ? ({ attentionBias: 'all' } as const) : {};
    return {
      architecture: 'qwen3',
      ...sizes,
      queryKeyNorm: true,
      ...bias,
      ...windowed(readQwenWindow(config, sizes.layers), sizes.contextLength),
      notes: config.rest([...DECODER_HARMLESS, ...QWEN_WINDOW]),
    };
  },
  gguf(config) {
    if (config.attentionBias !== undefined) throw noGguf('biases in the attention of a Qwen3');
    return decoderGguf(config, 'qwen3', 'apart');
  },
};
