import {
  DECODER_HARMLESS,
  type DecoderConfig,
  decoder,
  decoderGguf,
  decoderHuggingFaceConfig,
  readDecoder,
  windowed,
} from './decoder.ts';
import type { LanguageFamily } from './family.ts';

/** Mistral 7B (Jiang et al., arXiv 2310.06825) and Nemo: Llama with a sliding window. In the layout of `MistralForCausalLM`. */
export interface MistralConfig extends DecoderConfig {
  readonly architecture: 'mistral';
}

/** What `transformers` takes where config.json says nothing. */
const DEFAULT_WINDOW = 4096;
const DEFAULT_KEY_VALUE_HEADS = 8;

export const mistral: LanguageFamily<MistralConfig> = {
  ...decoder,
  title: 'Mistral language model',
  modelType: 'mistral',
  huggingFaceConfig: (config) => ({
    architectures: ['MistralForCausalLM'],
    ...decoderHuggingFaceConfig(config),
    sliding_window: config.slidingWindow ?? null,
  }),
  readConfig(config) {
    const sizes = readDecoder(config, { keyValueHeads: DEFAULT_KEY_VALUE_HEADS });
    const said = config.value('sliding_window');
    const window = said === null ? undefined : config.sizeOr('sliding_window', DEFAULT_WINDOW);
    return {
      architecture: 'mistral',
      ...sizes,
      ...windowed(window, sizes.contextLength),
      notes: config.rest([...DECODER_HARMLESS, 'sliding_window']),
    };
  },
  // llama.cpp reads Mistral as a Llama; it knows nothing of the window, and the context that is written fits into it.
  gguf: (config) => decoderGguf(config, 'llama', 'neighbours'),
};
