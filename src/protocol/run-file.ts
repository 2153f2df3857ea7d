import { z } from 'zod';
import { CODEC_PATTERN, type CodecName, NUMBER_CODECS } from './codec-names.ts';
import { AVERAGINGS, FRAGMENTATIONS, OUTER_OPTIMIZERS, STRATEGY_NAMES } from './outer-names.ts';

/**
 * The run file: what to train, on what, how islands learn together, and when to stop. This declaration is the
 * type, the validator and, through `npm run schema`, the published JSON Schema.
 */

const count = (max: number) => z.int().min(1).max(max);
const share = z.number().min(0).max(1);
const positive = z.number().positive();
const context = z.int().min(2).max(65_536);

/** `base` stands in a job whose architecture is what `model.config` says. */
const ARCHITECTURES = ['llama', 'gpt2', 'mlp', 'cnn', 'base'] as const;

/** Which keys of `model` belong to which architecture. */
const MODEL_KEYS: Readonly<Record<(typeof ARCHITECTURES)[number], readonly string[]>> = {
  llama: [
    'layers',
    'width',
    'heads',
    'keyValueHeads',
    'hiddenWidth',
    'tied',
    'ropeTheta',
    'normEpsilon',
    'base',
    'lora',
  ],
  gpt2: ['layers', 'width', 'heads', 'base', 'lora'],
  base: ['base', 'lora', 'config'],
  mlp: ['hidden', 'task'],
  cnn: ['stages'],
};

/** A base's config.json is some kilobytes. */
const MOST_CONFIG_CHARACTERS = 65_536;

const loraSchema = z.strictObject({
  rank: count(1_024).default(8),
  alpha: positive.max(10_000).default(16).describe('The adapter is multiplied by alpha / rank.'),
  targets: z
    .array(z.string().regex(/^[a-z0-9_]+$/))
    .min(1)
    .max(32)
    .optional()
    .describe("Last parts of layers' names, as in PEFT; default: every matrix of attention and MLP."),
});

const modelSchema = z
  .strictObject({
    architecture: z
      .enum(ARCHITECTURES)
      .default('llama')
      .describe(
        'llama or gpt2 for text, mlp for tables, mlp or cnn for images; saved in the Hugging Face layout. With model.base it is the base’s.',
      ),
    layers: count(128).optional().describe('Default 4.'),
    width: count(16_384).optional().describe('Size of the residual stream; heads must divide it. Default 128.'),
    heads: count(256).optional().describe('Default 4.'),
    keyValueHeads: count(256).optional().describe('Heads of keys and values (grouped-query attention); default heads.'),
    hiddenWidth: count(65_536).optional().describe('Hidden width of the SwiGLU; default 8/3 of the width.'),
    tied: z.boolean().optional().describe("Whether the output layer shares the embedding's weights; default true."),
    ropeTheta: positive.max(1e9).optional().describe("Base of the rotary positions' angles; default 10,000."),
    normEpsilon: positive.max(0.1).optional().describe('Default 1e-5.'),
    hidden: z
      .array(count(65_536))
      .min(1)
      .max(64)
      .optional()
      .describe('mlp: widths of its hidden layers; default [128].'),
    task: z.enum(['classification', 'regression']).optional().describe('mlp: default classification.'),
    stages: z.array(count(4_096)).min(1).max(8).optional().describe('cnn: channels of its stages; default [32, 64].'),
    base: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Begin with these weights: a folder in Hugging Face layout, or of a run; sizes and tokenizer are its own.',
      ),
    lora: loraSchema.optional().describe('Train low-rank adapters (LoRA); the base stays frozen.'),
    config: z
      .record(z.string().max(100), z.json())
      .refine((config) => JSON.stringify(config).length <= MOST_CONFIG_CHARACTERS, 'is too long')
      .optional()
      .describe("The base's own config.json: filled in from it, so that islands know what they are to compute."),
  })
  .prefault({})
  .superRefine((model, context) => {
    for (const [key, value] of Object.entries(model)) {
      if (key === 'architecture' || value === undefined || MODEL_KEYS[model.architecture].includes(key)) continue;
      const message = `does not belong to ${model.architecture}, which takes ${MODEL_KEYS[model.architecture].join(', ')}`;
      context.addIssue({ code: 'custom', path: [key], message });
    }
    if (model.architecture === 'base' && model.base === undefined)
      context.addIssue({
        code: 'custom',
        path: ['architecture'],
        message: 'needs model.base, whose architecture it is',
      });
    if (model.config !== undefined && model.base === undefined)
      context.addIssue({ code: 'custom', path: ['config'], message: 'needs model.base, whose config it is' });
    if (model.lora !== undefined && model.base === undefined)
      context.addIssue({ code: 'custom', path: ['lora'], message: 'needs model.base, the weights that are adapted' });
  });

const heldOut = z.number().gt(0).max(0.5).default(0.1);
const paths = z.union([
  z
    .string()
    .min(1)
    .transform((path) => [path]),
  z.array(z.string().min(1)).min(1).max(10_000),
]);

const corpusSchema = z.strictObject({
  paths: paths.describe(
    'Files, folders or globs of .txt, .md, .jsonl (a line: one object with "text", or "prompt" and "completion"), these with .gz or .zst behind, or .parquet; relative to this file.',
  ),
  field: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Field or column that is the text; default: "text", or "prompt" and "completion".'),
  heldOut: heldOut.describe(
    'Share that is held out for validation: whole documents, or with few documents the end of each.',
  ),
  packing: z
    .boolean()
    .default(true)
    .describe('true: documents are joined end to end; false: one document a row, cut or padded to the context.'),
});

const tableSchema = z.strictObject({
  table: paths.describe('CSV, TSV or Parquet files with the same columns.'),
  target: z
    .union([
      z
        .string()
        .min(1)
        .transform((column) => [column]),
      z.array(z.string().min(1)).min(1).max(1_000),
    ])
    .describe('The column to predict, or several for a regression.'),
  heldOut: heldOut.describe('Share of the rows that is held out for validation.'),
});

const imagesSchema = z.strictObject({
  images: z.string().min(1).describe('Images in IDX format, as of MNIST, plain or gzipped.'),
  labels: z.string().min(1).describe('Their labels, in IDX format too.'),
  heldOut: heldOut.describe('Share of the images that is held out for validation.'),
});

const dataSchema = z
  .union([
    z
      .string()
      .min(1)
      .transform((path) => corpusSchema.parse({ paths: path })),
    corpusSchema,
    tableSchema,
    imagesSchema,
  ])
  .describe('Text (a path alone, or paths and how they are read), a table, or images.');

const tokenizerSchema = z
  .union([
    z.strictObject({ path: z.string().min(1).describe('A tokenizer.json in Hugging Face format.') }),
    z.strictObject({
      vocabularySize: z
        .int()
        .min(257)
        .max(65_536)
        .optional()
        .describe(
          'Tokens of the byte-level BPE trained on the corpus; default 1,024, or as many as a short text supports.',
        ),
    }),
  ])
  .prefault({});

const innerSchema = z
  .strictObject({
    optimizer: z
      .enum(['muon', 'adamw', 'sgd'])
      .default('muon')
      .describe('muon: Muon on the matrices of blocks, AdamW for the rest.'),
    rate: positive
      .max(10)
      .optional()
      .describe(
        'Top learning rate; default 0.004 for AdamW, 0.05 for SGD, and for Muon 0.6 / √steps, from 0.03 for short runs to 0.004 for long ones. With model.base: 0.002 for Muon and 0.0005 for AdamW, with adapters 0.005 and 0.002.',
      ),
    adamRate: positive
      .max(10)
      .optional()
      .describe("With Muon: AdamW's peak rate for embeddings, biases and norms; default 0.8 times Muon's."),
    muonMomentum: z
      .number()
      .min(0)
      .lt(1)
      .default(0.8)
      .describe('Nesterov momentum of Muon. Small batches need less than the 0.95 of large ones.'),
    newtonSchulzSteps: count(20)
      .default(3)
      .describe('Newton–Schulz iterations with which Muon orthogonalizes an update.'),
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.95]),
    epsilon: positive.default(1e-8),
    sgdMomentum: z.number().min(0).lt(1).default(0.9).describe('Nesterov momentum of SGD.'),
    weightDecay: z
      .union([
        z.number().min(0).max(10),
        z.strictObject({
          matrix: z.number().min(0).max(10).default(0),
          embedding: z.number().min(0).max(10).default(0),
          kernel: z.number().min(0).max(10).default(0),
          vector: z.number().min(0).max(10).default(0),
        }),
      ])
      .default(0.1)
      .describe('Decoupled weight decay: of all but biases and norms, or one for each group of parameters.'),
    schedule: z
      .enum(['cosine', 'constant', 'wsd'])
      .default('cosine')
      .describe('After the warm-up: cosine decay, constant, or wsd (constant, then linear decay).'),
    decayShare: share.default(0.2).describe('wsd: share of the steps over which the rate decays.'),
    warmUpSteps: z.int().min(0).max(1_000_000).default(20),
    finalShare: share.default(0.05).describe('Floor of the schedule as a share of the peak rate.'),
    clipNorm: positive.default(1).describe('Largest global gradient norm.'),
    microBatches: count(1_024)
      .default(1)
      .describe('Micro-batches of a batch (gradient accumulation): less memory, the same step.'),
    recompute: z
      .boolean()
      .default(false)
      .describe('Activation recomputation (gradient checkpointing): less memory, more time.'),
    dropout: z.number().min(0).max(0.9).default(0),
    labelSmoothing: z.number().min(0).max(0.9).default(0),
    precision: z
      .enum(['float32', 'float16', 'bfloat16'])
      .default('float32')
      .describe(
        'What matrix products compute in; parameters stay float32. An island whose device lacks it cannot take part.',
      ),
  })
  .prefault({});

const codec = z
  .string()
  .regex(
    CODEC_PATTERN,
    `must be one of ${NUMBER_CODECS.join(', ')}, alone or behind top-1/N+ (N from 2 to 4096) or low-rank-R+ (R from 1 to 256)`,
  )
  // The pattern is the type.
  .transform((name) => name as CodecName);

const outerFields = {
  innerSteps: count(100_000).describe('H: inner steps between two merges of a fragment.'),
  startSteps: z
    .int()
    .min(0)
    .max(1_000_000)
    .describe('Steps at the start of the run that are merged one by one: a synchronous start.'),
  stepsBySpeed: z.boolean().describe('Slower islands take fewer inner steps, so that all are due at the same time.'),
  fragments: count(1_000).describe('P: fragments of the parameters, each merged at its own time.'),
  fragmentation: z
    .enum(FRAGMENTATIONS)
    .describe('How they are cut: balanced in bytes, or whole layers, sequential (neighbours) or strided (apart).'),
  rate: positive.max(10).describe("η: the outer optimizer's rate."),
  optimizer: z
    .enum(OUTER_OPTIMIZERS)
    .describe(
      'How the merged pseudo-gradient is followed: nesterov (DiLoCo), delayed-nesterov (islands one by one), momentum (FedAvgM), adam, yogi.',
    ),
  momentum: z.number().min(0).lt(1).describe('μ: its momentum; β₁ of adam and yogi.'),
  momentumPeriod: count(100_000).describe('N of delayed-nesterov: merges from one momentum step to the next.'),
  secondMomentum: z.number().min(0).lt(1).describe('β₂ of adam and yogi.'),
  adaptivity: positive.max(1).describe('τ of adam and yogi.'),
  quorum: z
    .union([z.literal('all'), count(100_000)])
    .describe('Quorum: islands that must be due before the grace begins.'),
  pull: z
    .enum(['present', 'due'])
    .describe('Who takes part in a merge: all connected islands, or only those that are due.'),
  graceS: z.number().min(0).max(86_400).describe('Grace: seconds that a merge waits for further islands at most.'),
  maxStaleness: z
    .int()
    .min(0)
    .max(10_000)
    .describe('Largest staleness: merges that a contribution may be behind; staler ones are left out.'),
  overlapSteps: z
    .int()
    .min(0)
    .max(100_000)
    .describe('τ: overlap, the steps that an island trains on while its fragment is merged.'),
  exactOverlap: z
    .boolean()
    .describe(
      'Read a fragment at the step at which it is due, and write what was merged τ steps later: τ lies inside H (Streaming DiLoCo).',
    ),
  localShare: share.describe('α: share of its own parameters an island keeps when a merged fragment arrives.'),
  carryOver: z
    .boolean()
    .describe('Keep what was trained during a merge on top of its result, and count it for the next one.'),
  oneStepDelay: z
    .boolean()
    .describe('Take a merged fragment one round later, when the next contribution is made (DiLoCoX).'),
  weighting: z.enum(['tokens', 'tokens-times-rate']),
  averaging: z
    .enum(AVERAGINGS)
    .describe(
      'mean, radial-directional, or a rule that holds when some islands lie: median, trimmed-mean, krum, multi-krum, geometric-median.',
    ),
  faultyShare: z
    .number()
    .min(0)
    .lt(0.5)
    .describe('Share of lying islands that trimmed-mean, krum and multi-krum have to tolerate.'),
  normBound: z
    .number()
    .min(1)
    .max(1e6)
    .describe(
      'How many times the median length a contribution may have; longer ones are scaled down. Needs three islands.',
    ),
  proximal: z
    .number()
    .min(0)
    .max(100)
    .describe('μ of FedProx: pulls inner steps towards the newest global parameters.'),
  upCodec: codec.describe(
    'How islands send: f32 is exact; the others carry differences with error feedback. int4, e3m0, int2, sign …; top-1/64+int4: the largest number in 64; low-rank-8+int4: matrices as products of rank 8 at most.',
  ),
  downCodec: codec.describe(
    'How merged fragments come back; where only islands that are due get them (`pull: due`) always whole, in f32.',
  ),
};
const strategy = z.enum(STRATEGY_NAMES);

const outerSchema = z
  .strictObject({ strategy: strategy.default('auto'), ...z.object(outerFields).partial().shape })
  .describe('How islands learn together; what is left out follows from the strategy.')
  .prefault({});

const stopSchema = z
  .strictObject({
    steps: count(1_000_000_000).default(400).describe('Inner steps of each island; the schedule ends there.'),
    tokens: count(Number.MAX_SAFE_INTEGER).optional().describe('Stop once so many tokens were merged.'),
    loss: positive.optional().describe('Stop once the validation loss is at or below this.'),
    minutes: positive.optional().describe('Stop at the first merge after so many minutes of training.'),
  })
  .prefault({});

/** Of how often something is done. */
const ONE_BY_ONE =
  ', and no more often than a quarter of the islands were merged where they are merged one by one (`pull: due`).';

const common = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be letters, digits, dots, dashes and underscores')
    .optional()
    .describe("Name of the run and of its folder under runs/; default is the file's name."),
  model: modelSchema,
  data: dataSchema,
  tokenizer: tokenizerSchema,
  inner: innerSchema,
  batch: count(65_536).default(8).describe('Sequences or examples in one step of one island.'),
  context: context
    .optional()
    .describe('Tokens that a language model sees at once; default 128, with model.base 256 or all that the base has.'),
  islands: count(10_000).default(4).describe('Number of islands; the data are cut into as many shards.'),
  stop: stopSchema,
  evaluation: z
    .strictObject({
      everyMerges: count(1_000_000)
        .default(2)
        .describe(`Validate after so many merges of the whole model${ONE_BY_ONE}`),
      tokens: count(100_000_000).default(32_768).describe('Held-out tokens or examples to validate on.'),
    })
    .prefault({}),
  checkpoints: z
    .strictObject({
      everyMerges: count(1_000_000).default(5).describe(`Save after so many merges of the whole model${ONE_BY_ONE}`),
      keep: count(1_000).default(2),
    })
    .prefault({}),
  sample: z
    .strictObject({
      prompt: z
        .string()
        .min(1)
        .max(10_000)
        .optional()
        .describe('What the report lets the model continue; default: the first words of the held-out text.'),
      tokens: count(4_096).default(100),
      temperature: z.number().min(0).max(10).default(0.8),
    })
    .prefault({}),
  energy: z
    .strictObject({
      wattsPerCore: positive.max(10_000).default(10).describe('Assumed electric power of one busy core, in W.'),
      intensityGPerKWh: z
        .number()
        .min(0)
        .max(5_000)
        .default(475)
        .describe('Carbon intensity of the electricity; default: world average.'),
    })
    .prefault({}),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(1),
};

export const runFileSchema = z.strictObject({ ...common, outer: outerSchema });
export type RunFile = z.output<typeof runFileSchema>;

/** A run file with every choice made: what `run.yaml` in a run's folder holds and what islands are told. */
export const jobSchema = z.strictObject({
  ...common,
  name: common.name.unwrap(),
  context,
  inner: innerSchema.unwrap().extend({ rate: positive.max(10), adamRate: positive.max(10) }),
  // Coordinators of earlier versions do not say.
  outer: z.strictObject({ strategy, ...outerFields, exactOverlap: outerFields.exactOverlap.default(false) }),
});
export type Job = z.output<typeof jobSchema>;
