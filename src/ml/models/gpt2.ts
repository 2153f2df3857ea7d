import { HelioError } from '../../errors.ts';
import { exactGelu, gelu, head, layerNorm } from '../engine/functions.ts';
import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { HARMLESS } from './config-reader.ts';
import { MOST_HEADS, MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH, noGguf } from './decoder.ts';
import { float32, type GgufLayout, type LanguageFamily, type LanguageSizes, positionsOf, uint32 } from './family.ts';
import type { ForwardPass } from './forward-pass.ts';

/** GPT-2 (Radford et al. 2019) in the layout of Hugging Face's `GPT2LMHeadModel`. */
export interface Gpt2Config extends LanguageSizes {
  readonly architecture: 'gpt2';
  /** Width inside the MLP; 4 · width where it is left out. */
  readonly hiddenWidth?: number;
  /** Whether the head is the embedding; it is, where this is left out. */
  readonly tied?: boolean;
  readonly normEpsilon?: number;
  /** false: scores of attention are not divided by √(head width). */
  readonly scaledAttention?: boolean;
  /** Whether scores are divided by the layer's number, from 1 on, too. */
  readonly scaledByLayer?: boolean;
  /** true: GELU by the error function; otherwise in its tanh form, as GPT-2 has it. */
  readonly exactGelu?: boolean;
}

const LAYER_NORM_EPSILON = 1e-5;
const hiddenWidthOf = ({ hiddenWidth, width }: Gpt2Config): number => hiddenWidth ?? 4 * width;

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

const HEAD = { role: 'embedding', layout: 'out-in' } as const;

export function gpt2Parameters(config: Gpt2Config): readonly ParameterSpec[] {
  const { width, layers, vocabularySize } = config;
  const hidden = hiddenWidthOf(config);
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
    { name: 'transformer.wpe.weight', shape: [positionsOf(config), width], initial: normal, role: 'embedding' },
    ...Array.from({ length: layers }, (_, i) => `transformer.h.${i}`).flatMap((block) => [
      ...norm(`${block}.ln_1`),
      ...dense(`${block}.attn.c_attn`, width, 3 * width, normal, 3),
      ...dense(`${block}.attn.c_proj`, width, width, residual),
      ...norm(`${block}.ln_2`),
      ...dense(`${block}.mlp.c_fc`, width, hidden, normal),
      ...dense(`${block}.mlp.c_proj`, hidden, width, residual),
    ]),
    ...norm('transformer.ln_f'),
    ...(config.tied === false
      ? [{ name: 'lm_head.weight', shape: [vocabularySize, width], ...HEAD, initial: normal }]
      : []),
  ];
}

/**
 * @param tokens int64 [batch, sequence]
 * @returns logits float32 [batch · sequence, vocabularySize]
 */
export function gpt2Logits(pass: ForwardPass, config: Gpt2Config, tokens: Value): Value {
  const { g, parameter } = pass;
  const [batch, sequence] = tokens.shape as readonly [number, number];
  const { width, layers, heads, contextLength, normEpsilon = LAYER_NORM_EPSILON } = config;
  const rows = batch * sequence;
  const norm = (x: Value, name: string) =>
    layerNorm(g, x, parameter(`${name}.weight`), parameter(`${name}.bias`), normEpsilon);

  const attend = (x: Value, layer: number): Value => {
    const name = `transformer.h.${layer}.attn`;
    const [q, k, v] = g
      .many('Split', [pass.dense(x, `${name}.c_attn`)], { axis: 1, sizes: [width, width, width] })
      .map((part) => g.one('Reshape', [part], { shape: [batch, sequence, heads, width / heads] }));
    const scale = queryScale(config, layer);
    const query = scale === 1 ? q! : g.one('Mul', [q!, g.scalar(scale)]);
    return pass.dropout(pass.dense(pass.attend(query, k!, v!), `${name}.c_proj`));
  };
  const activation = config.exactGelu === true ? exactGelu : gelu;
  const transform = (x: Value, name: string): Value =>
    pass.dropout(pass.dense(activation(g, pass.dense(x, `${name}.c_fc`)), `${name}.c_proj`));

  const embedded = g.one('Gather', [parameter('transformer.wte.weight'), tokens]);
  const table = parameter('transformer.wpe.weight');
  const used =
    positionsOf(config) === contextLength
      ? table
      : g.one('Slice', [table], { axes: [0], starts: [0], ends: [contextLength] });
  const positioned = g.one('Add', [embedded, pass.atPositions(used)]);
  let x = pass.dropout(g.one('Reshape', [positioned], { shape: [rows, width] }));
  for (let i = 0; i < layers; i++) {
    const block = `transformer.h.${i}`;
    x = g.segment('block', [x], ([input]) => {
      const middle = g.one('Add', [input!, attend(norm(input!, `${block}.ln_1`), i)]);
      return g.one('Add', [middle, transform(norm(middle, `${block}.ln_2`), `${block}.mlp`)]);
    });
  }
  const headName = config.tied === false ? 'lm_head.weight' : 'transformer.wte.weight';
  return head(g, norm(x, 'transformer.ln_f'), parameter(headName));
}

/** What queries are multiplied by beside the 1 / √(head width) that attention always applies. */
function queryScale(
  { width, heads, scaledAttention = true, scaledByLayer = false }: Gpt2Config,
  layer: number,
): number {
  return (scaledAttention ? 1 : Math.sqrt(width / heads)) / (scaledByLayer ? layer + 1 : 1);
}

/** Keys that decide nothing: dropout is the run file's, and the heads of classifiers are none of ours. */
const GPT2_HARMLESS = [
  ...HARMLESS,
  ...['attn_pdrop', 'embd_pdrop', 'resid_pdrop', 'n_ctx', 'n_special', 'predict_special_tokens'],
  ...['summary_type', 'summary_use_proj', 'summary_activation', 'summary_proj_to_labels', 'summary_first_dropout'],
  // The same numbers in float32, which is what is computed in here.
  'reorder_and_upcast_attn',
];

export const gpt2: LanguageFamily<Gpt2Config> = {
  kind: 'language',
  title: 'GPT-2 language model',
  modelType: 'gpt2',
  loraTargets: ['c_attn', 'c_proj', 'c_fc'],
  check: checkGpt2,
  parameters: gpt2Parameters,
  outputs: gpt2Logits,
  keyValueWidth: ({ width }) => width,
  huggingFaceConfig: (config) => ({
    architectures: ['GPT2LMHeadModel'],
    activation_function: config.exactGelu === true ? 'gelu' : 'gelu_new',
    vocab_size: config.vocabularySize,
    n_positions: positionsOf(config),
    n_embd: config.width,
    n_layer: config.layers,
    n_head: config.heads,
    n_inner: config.hiddenWidth ?? null,
    layer_norm_epsilon: config.normEpsilon ?? LAYER_NORM_EPSILON,
    scale_attn_weights: config.scaledAttention ?? true,
    scale_attn_by_inverse_layer_idx: config.scaledByLayer ?? false,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    initializer_range: 0.02,
    tie_word_embeddings: config.tied ?? true,
  }),
  readConfig(config) {
    config.expect('activation_function', ['gelu_new', 'gelu_pytorch_tanh', 'gelu']);
    for (const key of ['is_encoder_decoder', 'add_cross_attention']) config.expect(key, [false, null]);
    config.expect('cross_attention_hidden_size', [null]);
    const width = config.size('n_embd', MOST_WIDTH);
    const hiddenWidth = config.sizeOr('n_inner', 4 * width, MOST_WIDTH);
    const normEpsilon = config.number('layer_norm_epsilon', LAYER_NORM_EPSILON);
    return {
      architecture: 'gpt2',
      vocabularySize: config.size('vocab_size', MOST_VOCABULARY),
      contextLength: config.size('n_positions'),
      width,
      layers: config.size('n_layer', MOST_LAYERS),
      heads: config.size('n_head', MOST_HEADS),
      ...(hiddenWidth === 4 * width ? {} : { hiddenWidth }),
      ...(normEpsilon === LAYER_NORM_EPSILON ? {} : { normEpsilon }),
      ...(config.flag('tie_word_embeddings', true) ? {} : { tied: false }),
      ...(config.flag('scale_attn_weights', true) ? {} : { scaledAttention: false }),
      ...(config.flag('scale_attn_by_inverse_layer_idx', false) ? { scaledByLayer: true } : {}),
      ...(config.value('activation_function') === 'gelu' ? { exactGelu: true } : {}),
      notes: config.rest(GPT2_HARMLESS),
    };
  },
  gguf(config) {
    if (config.exactGelu === true) throw noGguf('GELU by the error function');
    if (config.scaledAttention === false || config.scaledByLayer === true) throw noGguf('another scale of attention');
    return {
      architecture: 'gpt2',
      metadata: [
        ['feed_forward_length', uint32(hiddenWidthOf(config))],
        ['attention.layer_norm_epsilon', float32(config.normEpsilon ?? LAYER_NORM_EPSILON)],
      ],
      names: GGUF_NAMES,
    };
  },
};

const GGUF_NAMES: GgufLayout['names'] = [
  [/^transformer\.wte\./, 'token_embd.'],
  [/^transformer\.wpe\./, 'position_embd.'],
  [/^transformer\.ln_f\./, 'output_norm.'],
  [/^lm_head\./, 'output.'],
  [/^transformer\.h\.(\d+)\./, 'blk.$1.'],
  [/\.ln_1\./, '.attn_norm.'],
  [/\.ln_2\./, '.ffn_norm.'],
  [/\.attn\.c_attn\./, '.attn_qkv.'],
  [/\.attn\.c_proj\./, '.attn_output.'],
  [/\.mlp\.c_fc\./, '.ffn_up.'],
  [/\.mlp\.c_proj\./, '.ffn_down.'],
];
