import { HelioError } from '../../errors.ts';
import { attention, gelu, layerNorm, linear } from '../engine/functions.ts';
import type { Builder, Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';

/** GPT-2 (Radford et al. 2019) in the layout of Hugging Face's `GPT2LMHeadModel`, with the head tied. */
export interface Gpt2Config {
  readonly architecture: 'gpt2';
  readonly vocabularySize: number;
  /** Tokens that the model sees at once. */
  readonly contextLength: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
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
 * Builds the forward pass.
 *
 * @param parameter gives the value of a parameter by its name
 * @param tokens int64 [batch, contextLength]
 * @returns logits float32 [batch · contextLength, vocabularySize]
 */
export function gpt2Logits(g: Builder, config: Gpt2Config, parameter: (name: string) => Value, tokens: Value): Value {
  const [batch, sequence] = tokens.shape as readonly [number, number];
  const { width, layers, heads } = config;
  const rows = batch * sequence;
  const dense = (x: Value, name: string) => linear(g, x, parameter(`${name}.weight`), parameter(`${name}.bias`));
  const norm = (x: Value, name: string) =>
    layerNorm(g, x, parameter(`${name}.weight`), parameter(`${name}.bias`), LAYER_NORM_EPSILON);

  const attend = (x: Value, name: string): Value => {
    const headWidth = width / heads;
    const [q, k, v] = g.many('Split', [dense(x, `${name}.c_attn`)], { axis: 1, sizes: [width, width, width] });
    const byHead = (part: Value, permutation: readonly number[]) =>
      g.one('Transpose', [g.one('Reshape', [part], { shape: [batch, sequence, heads, headWidth] })], { permutation });
    const scaled = g.one('Mul', [q!, g.scalar(1 / Math.sqrt(headWidth))]);
    const mixed = attention(g, byHead(scaled, [0, 2, 1, 3]), byHead(k!, [0, 2, 3, 1]), byHead(v!, [0, 2, 1, 3]));
    const joined = g.one('Transpose', [mixed], { permutation: [0, 2, 1, 3] });
    return dense(g.one('Reshape', [joined], { shape: [rows, width] }), `${name}.c_proj`);
  };

  const embedded = g.one('Gather', [parameter('transformer.wte.weight'), tokens]);
  const positioned = g.one('Add', [embedded, parameter('transformer.wpe.weight')]);
  let x = g.one('Reshape', [positioned], { shape: [rows, width] });
  for (let i = 0; i < layers; i++) {
    const block = `transformer.h.${i}`;
    x = g.one('Add', [x, attend(norm(x, `${block}.ln_1`), `${block}.attn`)]);
    const hidden = gelu(g, dense(norm(x, `${block}.ln_2`), `${block}.mlp.c_fc`));
    x = g.one('Add', [x, dense(hidden, `${block}.mlp.c_proj`)]);
  }
  return g.one('Gemm', [norm(x, 'transformer.ln_f'), parameter('transformer.wte.weight')], { transB: 1 });
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
