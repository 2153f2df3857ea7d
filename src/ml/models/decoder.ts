import { HelioError } from '../../errors.ts';
import { head, rmsNorm, rotary, swiglu } from '../engine/functions.ts';
import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { type ConfigReader, HARMLESS } from './config-reader.ts';
import { float32, type GgufLayout, type LanguageFamily, type LanguageSizes, positionsOf, uint32 } from './family.ts';
import type { ForwardPass } from './forward-pass.ts';
import { type Rope, readRope, ropeGguf, ropeHuggingFaceConfig, rotaryTables } from './rope.ts';

/**
 * What Llama (Touvron et al., arXiv 2302.13971) and its relatives have in common: RMSNorm, rotary positions, SwiGLU, grouped-query
 * attention, in the layout and names of `LlamaForCausalLM`. The families' own files set the switches.
 */
export interface DecoderConfig extends LanguageSizes, Rope {
  /** Key and value heads, each shared by several query heads (grouped-query attention). */
  readonly keyValueHeads: number;
  /** Width of a head where it is not width / heads. */
  readonly headWidth?: number;
  /** Width inside the SwiGLU. */
  readonly hiddenWidth: number;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
  readonly normEpsilon: number;
  /** Which layers of attention add a bias: none, those of q, k and v, or all four. */
  readonly attentionBias?: 'inputs' | 'all';
  readonly mlpBias?: boolean;
  /** Whether q and k are normalized, head by head. */
  readonly queryKeyNorm?: boolean;
  /** Tokens back that attention sees. The model is used at contexts no longer than this, where it changes nothing. */
  readonly slidingWindow?: number;
}

export const headWidthOf = ({ headWidth, width, heads }: DecoderConfig): number => headWidth ?? width / heads;

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
function checkDecoder(config: DecoderConfig): void {
  const { width, heads, keyValueHeads, slidingWindow, contextLength } = config;
  const headWidth = headWidthOf(config);
  if (!Number.isInteger(headWidth) || headWidth % 2 !== 0) {
    const near = [1, 2, 4, 8, 16].filter((h) => width % (2 * h) === 0).join(', ');
    throw new HelioError(
      'HELIO-1002',
      `model.width ${width} does not divide into model.heads ${heads} of an even width, which rotary positions need.`,
      `Choose heads such as ${near}.`,
    );
  }
  if (heads % keyValueHeads !== 0) {
    throw new HelioError(
      'HELIO-1002',
      `model.heads ${heads} is no multiple of model.keyValueHeads ${keyValueHeads}.`,
      'Choose keyValueHeads that divide heads.',
    );
  }
  if (slidingWindow !== undefined && contextLength > slidingWindow) {
    throw new HelioError(
      'HELIO-1002',
      `context ${contextLength} is longer than the ${slidingWindow} tokens back that the model's attention sees, and a sliding window is not computed here.`,
      `Set context to ${slidingWindow} or less: the window then changes nothing.`,
    );
  }
}

function decoderParameters(config: DecoderConfig): readonly ParameterSpec[] {
  const { width, layers, heads, keyValueHeads, hiddenWidth, vocabularySize, attentionBias, mlpBias = false } = config;
  const normal = { normal: 0.02 };
  // Projections back into the residual stream start smaller, as in GPT-2 (its paper, section 2.3).
  const residual = { normal: 0.02 / Math.sqrt(2 * layers) };
  const headWidth = headWidthOf(config);
  const [queryWidth, keyWidth] = [headWidth * heads, headWidth * keyValueHeads];
  const norm = (name: string, size = width): ParameterSpec => ({
    name: `${name}.weight`,
    shape: [size],
    initial: 'ones',
    role: 'vector',
  });
  const dense = (name: string, from: number, to: number, initial: ParameterSpec['initial'], bias: boolean) => [
    { name: `${name}.weight`, shape: [to, from], initial, role: 'matrix', layout: 'out-in' } as const,
    ...(bias ? [{ name: `${name}.bias`, shape: [to], initial: 'zeros', role: 'vector' } as const] : []),
  ];
  const [inputs, all] = [attentionBias !== undefined, attentionBias === 'all'];
  const norms = (block: string) => ['q_norm', 'k_norm'].map((name) => norm(`${block}.self_attn.${name}`, headWidth));
  return [
    { name: 'model.embed_tokens.weight', shape: [vocabularySize, width], initial: normal, role: 'embedding' },
    ...Array.from({ length: layers }, (_, i) => `model.layers.${i}`).flatMap((block) => [
      norm(`${block}.input_layernorm`),
      ...dense(`${block}.self_attn.q_proj`, width, queryWidth, normal, inputs),
      ...dense(`${block}.self_attn.k_proj`, width, keyWidth, normal, inputs),
      ...dense(`${block}.self_attn.v_proj`, width, keyWidth, normal, inputs),
      ...dense(`${block}.self_attn.o_proj`, queryWidth, width, residual, all),
      ...(config.queryKeyNorm === true ? norms(block) : []),
      norm(`${block}.post_attention_layernorm`),
      ...dense(`${block}.mlp.gate_proj`, width, hiddenWidth, normal, mlpBias),
      ...dense(`${block}.mlp.up_proj`, width, hiddenWidth, normal, mlpBias),
      ...dense(`${block}.mlp.down_proj`, hiddenWidth, width, residual, mlpBias),
    ]),
    norm('model.norm'),
    ...(config.tied
      ? []
      : [
          {
            name: 'lm_head.weight',
            shape: [vocabularySize, width],
            initial: normal,
            role: 'embedding',
            layout: 'out-in',
          } as const,
        ]),
  ];
}

/**
 * @param tokens int64 [batch, sequence]
 * @returns logits float32 [batch · sequence, vocabularySize]
 */
function decoderLogits(pass: ForwardPass, config: DecoderConfig, tokens: Value): Value {
  const { g, parameter } = pass;
  const [batch, sequence] = tokens.shape as readonly [number, number];
  const { width, layers, heads, keyValueHeads, normEpsilon, contextLength } = config;
  const headWidth = headWidthOf(config);
  const [cos, sin] = rotaryTables(g, config, headWidth, contextLength, (table) => pass.atPositions(table));
  const norm = (x: Value, name: string) => rmsNorm(g, x, parameter(`${name}.weight`), normEpsilon);
  const byHead = (x: Value, count: number): Value =>
    g.one('Reshape', [x], { shape: [batch, sequence, count, headWidth] });
  /** q or k: by head, each head normalized where the family does so, and turned. */
  const turned = (x: Value, count: number, name: string): Value => {
    if (config.queryKeyNorm !== true) return rotary(g, byHead(x, count), cos, sin);
    const rows = g.one('Reshape', [x], { shape: [batch * sequence * count, headWidth] });
    return rotary(g, byHead(norm(rows, name), count), cos, sin);
  };

  const attend = (x: Value, name: string): Value => {
    const q = turned(pass.dense(x, `${name}.q_proj`), heads, `${name}.q_norm`);
    const k = turned(pass.dense(x, `${name}.k_proj`), keyValueHeads, `${name}.k_norm`);
    const v = byHead(pass.dense(x, `${name}.v_proj`), keyValueHeads);
    return pass.dropout(pass.dense(pass.attend(q, k, v), `${name}.o_proj`));
  };
  const transform = (x: Value, name: string): Value => {
    const gated = swiglu(g, pass.dense(x, `${name}.gate_proj`), pass.dense(x, `${name}.up_proj`));
    return pass.dropout(pass.dense(gated, `${name}.down_proj`));
  };

  const embedded = g.one('Gather', [parameter('model.embed_tokens.weight'), tokens]);
  let x = pass.dropout(g.one('Reshape', [embedded], { shape: [batch * sequence, width] }));
  for (let i = 0; i < layers; i++) {
    const block = `model.layers.${i}`;
    x = g.segment('block', [x], ([input]) => {
      const middle = g.one('Add', [input!, attend(norm(input!, `${block}.input_layernorm`), `${block}.self_attn`)]);
      return g.one('Add', [middle, transform(norm(middle, `${block}.post_attention_layernorm`), `${block}.mlp`)]);
    });
  }
  const table = config.tied ? 'model.embed_tokens.weight' : 'lm_head.weight';
  return head(g, norm(x, 'model.norm'), parameter(table));
}

/** What a family's own file begins with, and sets its switches upon. */
export const decoder = {
  kind: 'language',
  // Every matrix of attention and MLP.
  loraTargets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  check: checkDecoder,
  parameters: decoderParameters,
  outputs: decoderLogits,
  keyValueWidth: (config) => headWidthOf(config) * config.keyValueHeads,
} as const satisfies Partial<LanguageFamily<DecoderConfig>>;

/** Keys of config.json that all of them write. */
export function decoderHuggingFaceConfig(config: DecoderConfig): Readonly<Record<string, unknown>> {
  return {
    hidden_act: 'silu',
    vocab_size: config.vocabularySize,
    max_position_embeddings: positionsOf(config),
    hidden_size: config.width,
    intermediate_size: config.hiddenWidth,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.keyValueHeads,
    head_dim: headWidthOf(config),
    rms_norm_eps: config.normEpsilon,
    ...ropeHuggingFaceConfig(config),
    attention_dropout: 0,
    initializer_range: 0.02,
    tie_word_embeddings: config.tied,
  };
}

/** Keys that all of them have and that decide nothing. */
export const DECODER_HARMLESS = [...HARMLESS, 'attention_dropout'];

/** Reads what all of them have; `headWidth` where a missing `head_dim` does not mean width / heads. */
export function readDecoder(config: ConfigReader, defaults: { headWidth?: number; keyValueHeads?: number } = {}) {
  const [width, heads] = [config.size('hidden_size', MOST_WIDTH), config.size('num_attention_heads', MOST_HEADS)];
  const positions = config.size('max_position_embeddings');
  config.expect('hidden_act', ['silu', 'swish']);
  for (const key of ['is_encoder_decoder', 'add_cross_attention']) config.expect(key, [false, null]);
  config.expect('cross_attention_hidden_size', [null]);
  const headWidth = config.sizeOr('head_dim', defaults.headWidth ?? width / heads, MOST_WIDTH);
  return {
    vocabularySize: config.size('vocab_size', MOST_VOCABULARY),
    contextLength: positions,
    width,
    layers: config.size('num_hidden_layers', MOST_LAYERS),
    heads,
    keyValueHeads: config.sizeOr('num_key_value_heads', defaults.keyValueHeads ?? heads, MOST_HEADS),
    ...(headWidth === width / heads ? {} : { headWidth }),
    hiddenWidth: config.size('intermediate_size', MOST_WIDTH),
    tied: config.flag('tie_word_embeddings', false),
    ...readRope(config, positions),
    normEpsilon: config.number('rms_norm_eps', 1e-6),
  };
}

/** Bounds of what is read: a config may come from anywhere, and lists are made as long as it says. */
export const [MOST_WIDTH, MOST_HEADS, MOST_LAYERS, MOST_VOCABULARY] = [2 ** 20, 2 ** 12, 2 ** 10, 2 ** 24];

/** A window that all positions fit into changes nothing; a smaller one bounds the context that the model is used at. */
export function windowed(window: number | undefined, positions: number) {
  if (window === undefined || window >= positions) return {};
  return { slidingWindow: window, contextLength: window, positions };
}

/**
 * @param pairs how the architecture of llama.cpp turns q and k: numbers half a head apart, as here, or neighbours
 * @throws HelioError HELIO-1006 when it has no words for what the config says
 */
export function decoderGguf(config: DecoderConfig, architecture: string, pairs: 'apart' | 'neighbours'): GgufLayout {
  const headWidth = headWidthOf(config);
  const rope = ropeGguf(config, headWidth);
  const factors = rope?.factors;
  // Only the architecture of Llama reads a tensor of factors.
  if (rope === undefined || (factors !== undefined && architecture !== 'llama'))
    throw noGguf(`rotary positions of kind ${config.ropeScaling?.kind} with these settings`);
  return {
    architecture,
    metadata: [
      ['context_length', uint32(Math.min(positionsOf(config), config.slidingWindow ?? positionsOf(config)))],
      ['feed_forward_length', uint32(config.hiddenWidth)],
      ['attention.head_count_kv', uint32(config.keyValueHeads)],
      ['attention.key_length', uint32(headWidth)],
      ['attention.value_length', uint32(headWidth)],
      ['attention.layer_norm_rms_epsilon', float32(config.normEpsilon)],
      ...rope.metadata,
    ],
    names: NAMES,
    ...(factors === undefined ? {} : { computed: [{ name: 'rope_freqs.weight', data: factors }] }),
    arrange: (name, data) =>
      pairs === 'neighbours' && /\.[qk]_proj\./.test(name)
        ? neighbours(data, headWidth, columnsOf(name, config))
        : data,
  };
}

export const noGguf = (what: string): HelioError =>
  new HelioError('HELIO-1006', `A GGUF file cannot say ${what}.`, 'Export to transformers or onnx.');

const columnsOf = (name: string, { width }: DecoderConfig): number => (name.endsWith('.bias') ? 1 : width);

const NAMES: GgufLayout['names'] = [
  [/^model\.embed_tokens\./, 'token_embd.'],
  [/^model\.norm\./, 'output_norm.'],
  [/^lm_head\./, 'output.'],
  [/^model\.layers\.(\d+)\./, 'blk.$1.'],
  [/\.input_layernorm\./, '.attn_norm.'],
  [/\.post_attention_layernorm\./, '.ffn_norm.'],
  [/\.self_attn\.([qkv])_proj\./, '.attn_$1.'],
  [/\.self_attn\.([qk])_norm\./, '.attn_$1_norm.'],
  [/\.self_attn\.o_proj\./, '.attn_output.'],
  [/\.mlp\.(gate|up|down)_proj\./, '.ffn_$1.'],
];

/** Rows of q and k whose pairs are half a head apart, so that they lie side by side. */
function neighbours(data: Float32Array, headWidth: number, columns: number): Float32Array {
  const half = headWidth / 2;
  const permuted = new Float32Array(data.length);
  for (let row = 0; row < data.length / columns; row++) {
    const start = row - (row % headWidth);
    const [part, i] = [Math.floor((row % headWidth) / half), row % half];
    permuted.set(data.subarray(row * columns, (row + 1) * columns), (start + 2 * i + part) * columns);
  }
  return permuted;
}
