import {
  DECODER_HARMLESS,
  type DecoderConfig,
  decoder,
  decoderGguf,
  decoderHuggingFaceConfig,
  readDecoder,
} from './decoder.ts';
import type { LanguageFamily } from './family.ts';

/** Llama (Touvron et al., arXiv 2302.13971), Llama 3 and SmolLM2, in the layout of `LlamaForCausalLM`. */
export interface LlamaConfig extends DecoderConfig {
  readonly architecture: 'llama';
}

/** The hidden width that gives a SwiGLU as many parameters as an MLP of 4 · width: 8/3 · width, up to a multiple of 32. */
export const llamaHiddenWidth = (width: number): number => Math.ceil((8 * width) / 3 / 32) * 32;

export const llama: LanguageFamily<LlamaConfig> = {
  ...decoder,
  title: 'Llama language model',
  modelType: 'llama',
  huggingFaceConfig: (config) => ({
    architectures: ['LlamaForCausalLM'],
    ...decoderHuggingFaceConfig(config),
    attention_bias: config.attentionBias !== undefined,
    mlp_bias: config.mlpBias === true,
  }),
  readConfig(config) {
    config.expect('rope_interleaved', [false]);
    const bias = config.flag('attention_bias', false) ? ({ attentionBias: 'all' } as const) : {};
    const mlp = config.flag('mlp_bias', false) ? { mlpBias: true } : {};
    const sizes = readDecoder(config);
    return { architecture: 'llama', ...sizes, ...bias, ...mlp, notes: config.rest(DECODER_HARMLESS) };
  },
  gguf: (config) => decoderGguf(config, 'llama', 'neighbours'),
};
