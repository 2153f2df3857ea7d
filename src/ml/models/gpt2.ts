import { HelioError } from '../../errors.ts';
import { gelu, head, layerNorm } from '../engine/functions.ts';
import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { ConfigReader } from './config-reader.ts';
import type { ForwardPass } from './forward-pass.ts';
import type { LoraConfig } from './lora.ts';

/** GPT-2 (Radford et al. 2019) in the layout of Hugging Face's `GPT2LMHeadModel`, with the head tied. */
export interface Gpt2Config {
  readonly architecture: 'gpt2';
  readonly vocabularySize: number;
  /** Tokens that the model sees at once. */
  readonly contextLength: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly lora?: LoraConfig;
}

const LAYER_NORM_EPSILON = 1e-5;

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
export function checkGpt2(config: Gpt2Config): void {
  if (config.width % config.heads !== 0) {
    const near = [1, 2, 4, 8, 16].filter((h) => config.width % h === 0).join(', ');
    throw new HelioError(
      'HELIO-1002',
      `model.width ${config.width} does not divide into model.heads ${config.heads}.`,
      `Choose heads that divide the width (${near}).`,
    );
  }
}

export function gpt2Parameters(config: Gpt2Config): readonly ParameterSpec[] {
  const { width, layers, vocabularySize, contextLength } = config;
  const normal = { normal: 0.02 };
  // Projections back into the residual stream start smaller: GPT-2 paper, section 2.3.
  const residual = { normal: 0.02 / Math.sqrt(2 * layers) };
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [width], initial: 'ones', role: 'vector' },
    { name: `${name}.bias`, shape: [width], initial: 'zeros', role: 'vector' },
  ];
  const dense = (name: string, from: number, to: number, initial: ParameterSpec['initial'], columnBlocks = 1) => [
    { name: `${name}.weight`, shape: [from, to], initial, role: 'matrix', columnBlocks } as const,
    { name: `${name}.bias`, shape: [to], initial: 'zeros', role: 'vector' } as const,
  ];
  return [
    { name: 'transformer.wte.weight', shape: [vocabularySize, width], initial: normal, role: 'embedding' },
    { name: 'transformer.wpe.weight', shape: [contextLength, width], initial: normal, role: 'embedding' },
    ...Array.from({ length: layers }, (_, i) => `transformer.h.${i}`).flatMap((block) => [
      ...norm(`${block}.ln_1`),
      ...dense(`${block}.attn.c_attn`, width, 3 * width, normal, 3),
      ...dense(`${block}.attn.c_proj`, width, width, residual),
      ...norm(`${block}.ln_2`),
      ...dense(`${block}.mlp.c_fc`, width, 4 * width, normal),
      ...dense(`${block}.mlp.c_proj`, 4 * width, width, residual),
    ]),
    ...norm('transformer.ln_f'),
  ];
}

/**
 * @param tokens int64 [batch, sequence]
 * @returns logits float32 [batch · sequence, vocabularySize]
 */
export function gpt2Logits(pass: ForwardPass, config: Gpt2Config, tokens: Value): Value {
  const { g, parameter } = pass;
  const [batch, sequence] = tokens.shape as readonly [number, number];
  const { width, layers, heads } = config;
  const rows = batch * sequence;
  const norm = (x: Value, name: string) =>
    layerNorm(g, x, parameter(`${name}.weight`), parameter(`${name}.bias`), LAYER_NORM_EPSILON);

  const attend = (x: Value, name: string): Value => {
    const [q, k, v] = g
      .many('Split', [pass.dense(x, `${name}.c_attn`)], { axis: 1, sizes: [width, width, width] })
      .map((part) => g.one('Reshape', [part], { shape: [batch, sequence, heads, width / heads] }));
    return pass.dropout(pass.dense(pass.attend(q!, k!, v!), `${name}.c_proj`));
  };
  const transform = (x: Value, name: string): Value =>
    pass.dropout(pass.dense(gelu(g, pass.dense(x, `${name}.c_fc`)), `${name}.c_proj`));

  const embedded = g.one('Gather', [parameter('transformer.wte.weight'), tokens]);
  const positioned = g.one('Add', [embedded, pass.atPositions(parameter('transformer.wpe.weight'))]);
  let x = pass.dropout(g.one('Reshape', [positioned], { shape: [rows, width] }));
  for (let i = 0; i < layers; i++) {
    const block = `transformer.h.${i}`;
    x = g.segment('block', [x], ([input]) => {
      const middle = g.one('Add', [input!, attend(norm(input!, `${block}.ln_1`), `${block}.attn`)]);
      return g.one('Add', [middle, transform(norm(middle, `${block}.ln_2`), `${block}.mlp`)]);
    });
  }
  return head(g, norm(x, 'transformer.ln_f'), parameter('transformer.wte.weight'));
}

/** `config.json` as `transformers` reads it. */
export function gpt2HuggingFaceConfig(config: Gpt2Config, endOfTextId: number): Readonly<Record<string, unknown>> {
  return {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    activation_function: 'gelu_new',
    vocab_size: config.vocabularySize,
    n_positions: config.contextLength,
    n_ctx: config.contextLength,
    n_embd: config.width,
    n_layer: config.layers,
    n_head: config.heads,
    n_inner: null,
    layer_norm_epsilon: LAYER_NORM_EPSILON,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    initializer_range: 0.02,
    tie_word_embeddings: true,
    bos_token_id: endOfTextId,
    eos_token_id: endOfTextId,
    torch_dtype: 'float32',
  };
}

/** Reads what {@link gpt2HuggingFaceConfig} or `transformers` wrote; refuses variants that compute something else. */
export function readGpt2Config(config: ConfigReader): Gpt2Config {
  const width = config.size('n_embd');
  config.expect('activation_function', ['gelu_new', 'gelu_pytorch_tanh']);
  config.expect('layer_norm_epsilon', [LAYER_NORM_EPSILON]);
  config.expect('n_inner', [null, 4 * width]);
  config.expect('tie_word_embeddings', [true]);
  config.expect('scale_attn_by_inverse_layer_idx', [false]);
  return {
    architecture: 'gpt2',
    vocabularySize: config.size('vocab_size'),
    contextLength: config.size('n_positions'),
    width,
    layers: config.size('n_layer'),
    heads: config.size('n_head'),
  };
}
