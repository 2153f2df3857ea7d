import { HelioError } from '../../errors.ts';
import { head, rmsNorm, rotary, swiglu } from '../engine/functions.ts';
import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { ConfigReader } from './config-reader.ts';
import type { ForwardPass } from './forward-pass.ts';
import type { LoraConfig } from './lora.ts';

/** Llama (Touvron et al., arXiv 2302.13971) in the layout of Hugging Face's `LlamaForCausalLM`. */
export interface LlamaConfig {
  readonly architecture: 'llama';
  readonly vocabularySize: number;
  /** Tokens that the model sees at once. */
  readonly contextLength: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Key and value heads, each shared by several query heads (grouped-query attention). */
  readonly keyValueHeads: number;
  /** Width inside the SwiGLU. */
  readonly hiddenWidth: number;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
  /** Base of the rotary embedding's angles. */
  readonly ropeTheta: number;
  readonly normEpsilon: number;
  readonly lora?: LoraConfig;
}

/** The hidden width that gives a SwiGLU as many parameters as an MLP of 4 · width: 8/3 · width, up to a multiple of 32. */
export const llamaHiddenWidth = (width: number): number => Math.ceil((8 * width) / 3 / 32) * 32;

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
export function checkLlama({ width, heads, keyValueHeads }: LlamaConfig): void {
  const near = [1, 2, 4, 8, 16].filter((h) => width % (2 * h) === 0).join(', ');
  if (width % (2 * heads) !== 0) {
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
}

export function llamaParameters(config: LlamaConfig): readonly ParameterSpec[] {
  const { width, layers, heads, keyValueHeads, hiddenWidth, vocabularySize } = config;
  const normal = { normal: 0.02 };
  // Projections back into the residual stream start smaller, as in GPT-2 (its paper, section 2.3).
  const residual = { normal: 0.02 / Math.sqrt(2 * layers) };
  const keyWidth = (width / heads) * keyValueHeads;
  const norm = (name: string): ParameterSpec => ({ name, shape: [width], initial: 'ones', role: 'vector' });
  const dense = (name: string, from: number, to: number, initial: ParameterSpec['initial']): ParameterSpec => ({
    name: `${name}.weight`,
    shape: [to, from],
    initial,
    role: 'matrix',
    layout: 'out-in',
  });
  return [
    { name: 'model.embed_tokens.weight', shape: [vocabularySize, width], initial: normal, role: 'embedding' },
    ...Array.from({ length: layers }, (_, i) => `model.layers.${i}`).flatMap((block) => [
      norm(`${block}.input_layernorm.weight`),
      dense(`${block}.self_attn.q_proj`, width, width, normal),
      dense(`${block}.self_attn.k_proj`, width, keyWidth, normal),
      dense(`${block}.self_attn.v_proj`, width, keyWidth, normal),
      dense(`${block}.self_attn.o_proj`, width, width, residual),
      norm(`${block}.post_attention_layernorm.weight`),
      dense(`${block}.mlp.gate_proj`, width, hiddenWidth, normal),
      dense(`${block}.mlp.up_proj`, width, hiddenWidth, normal),
      dense(`${block}.mlp.down_proj`, hiddenWidth, width, residual),
    ]),
    norm('model.norm.weight'),
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
export function llamaLogits(pass: ForwardPass, config: LlamaConfig, tokens: Value): Value {
  const { g, parameter } = pass;
  const [batch, sequence] = tokens.shape as readonly [number, number];
  const { width, layers, heads, keyValueHeads, normEpsilon } = config;
  const headWidth = width / heads;
  const [cos, sin] = rotaryTables(pass, config);
  const norm = (x: Value, name: string) => rmsNorm(g, x, parameter(`${name}.weight`), normEpsilon);
  const byHead = (x: Value, count: number): Value =>
    g.one('Reshape', [x], { shape: [batch, sequence, count, headWidth] });

  const attend = (x: Value, name: string): Value => {
    const q = rotary(g, byHead(pass.dense(x, `${name}.q_proj`), heads), cos, sin);
    const k = rotary(g, byHead(pass.dense(x, `${name}.k_proj`), keyValueHeads), cos, sin);
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

/** cos and sin of position · θ^(−2i/w), [sequence, 1, head width / 2] each. */
function rotaryTables(pass: ForwardPass, config: LlamaConfig): readonly [cos: Value, sin: Value] {
  const half = config.width / config.heads / 2;
  const table = (f: (angle: number) => number): Value => {
    const data = Float32Array.from({ length: config.contextLength * half }, (_, i) =>
      f(Math.floor(i / half) * config.ropeTheta ** (-(i % half) / half)),
    );
    const rows = pass.atPositions(pass.g.constant(data, [config.contextLength, half]));
    return pass.g.one('Reshape', [rows], { shape: [rows.shape[0]!, 1, half] });
  };
  return [table(Math.cos), table(Math.sin)];
}

/** `config.json` as `transformers` reads it. */
export function llamaHuggingFaceConfig(config: LlamaConfig, endOfTextId: number): Readonly<Record<string, unknown>> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    vocab_size: config.vocabularySize,
    max_position_embeddings: config.contextLength,
    hidden_size: config.width,
    intermediate_size: config.hiddenWidth,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.keyValueHeads,
    head_dim: config.width / config.heads,
    rms_norm_eps: config.normEpsilon,
    rope_theta: config.ropeTheta,
    rope_scaling: null,
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: 0,
    initializer_range: 0.02,
    tie_word_embeddings: config.tied,
    bos_token_id: endOfTextId,
    eos_token_id: endOfTextId,
    torch_dtype: 'float32',
  };
}

/** Reads what {@link llamaHuggingFaceConfig} or `transformers` wrote; refuses variants that compute something else. */
export function readLlamaConfig(config: ConfigReader): LlamaConfig {
  const [width, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
  config.expect('hidden_act', ['silu']);
  config.expect('rope_scaling', [null]);
  config.expect('attention_bias', [false]);
  config.expect('mlp_bias', [false]);
  config.expect('head_dim', [null, width / heads]);
  return {
    architecture: 'llama',
    vocabularySize: config.size('vocab_size'),
    contextLength: config.size('max_position_embeddings'),
    width,
    layers: config.size('num_hidden_layers'),
    heads,
    keyValueHeads: config.sizeOr('num_key_value_heads', heads),
    hiddenWidth: config.size('intermediate_size'),
    tied: config.flag('tie_word_embeddings', false),
    ropeTheta: readRopeTheta(config),
    normEpsilon: config.number('rms_norm_eps', 1e-6),
  };
}

/** `rope_theta`, or since transformers 5 `rope_parameters`, of which the plain kind is read. */
function readRopeTheta(config: ConfigReader): number {
  const nested = config.value('rope_parameters') as { rope_type?: unknown; rope_theta?: unknown } | null | undefined;
  if (nested === undefined || nested === null) return config.number('rope_theta', 10_000);
  const { rope_type: type = 'default', rope_theta: theta = 10_000 } = nested;
  if (type !== 'default' || typeof theta !== 'number') throw config.wrong('rope_parameters', 'rope_type "default"');
  return theta;
}
