import type { ConfigReader } from './config-reader.ts';
import {
  DECODER_HARMLESS,
  type DecoderConfig,
  decoder,
  decoderGguf,
  decoderHuggingFaceConfig,
  headWidthOf,
  noGguf,
  readDecoder,
  windowed,
} from './decoder.ts';
import type { LanguageFamily } from './family.ts';

/** Qwen2 and Qwen2.5 (arXiv 2412.15115): Llama with biases at q, k and v. In the layout of `Qwen2ForCausalLM`. */
export interface Qwen2Config extends DecoderConfig {
  readonly architecture: 'qwen2';
}

/** What `transformers` takes where config.json says nothing. */
const DEFAULTS = { keyValueHeads: 32 };
const [DEFAULT_WINDOW, DEFAULT_FULL_LAYERS] = [4096, 28];

export const qwen2: LanguageFamily<Qwen2Config> = {
  ...decoder,
  title: 'Qwen2 language model',
  modelType: 'qwen2',
  huggingFaceConfig: (config) => ({ architectures: ['Qwen2ForCausalLM'], ...decoderHuggingFaceConfig(config) }),
  readConfig(config) {
    const sizes = readDecoder(config, DEFAULTS);
    return {
      architecture: 'qwen2',
      ...sizes,
      attentionBias: 'inputs',
      ...windowed(readQwenWindow(config, sizes.layers), sizes.contextLength),
      notes: config.rest([...DECODER_HARMLESS, ...QWEN_WINDOW]),
    };
  },
  gguf(config) {
    if (headWidthOf(config) * config.heads !== config.width) throw noGguf('heads of their own width in a Qwen2');
    return decoderGguf(config, 'qwen2', 'apart');
  },
};

/** Keys that {@link readQwenWindow} reads; they are saved as the base has them. */
export const QWEN_WINDOW = ['use_sliding_window', 'sliding_window', 'max_window_layers', 'layer_types'];

/** The window of those layers that have one: `layer_types` names them, or they are all from `max_window_layers` on. */
export function readQwenWindow(config: ConfigReader, layers: number): number | undefined {
  const window = config.sizeOr('sliding_window', DEFAULT_WINDOW);
  const full = config.number('max_window_layers', DEFAULT_FULL_LAYERS);
  const types = config.value('layer_types') ?? undefined;
  const known = ['full_attention', 'sliding_attention'];
  if (types !== undefined && !(Array.isArray(types) && types.every((type) => known.includes(String(type)))))
    throw config.wrong('layer_types', `a list of ${known.join(' and ')}`);
  if (!config.flag('use_sliding_window', false) || config.value('sliding_window') === null) return undefined;
  const some = types === undefined ? full < layers : (types as readonly unknown[]).includes(known[1]);
  return some ? window : undefined;
}
