import { z } from 'zod';
import { CODEC_NAMES } from './codec-names.ts';

/**
 * The run file: what to train, on what, how islands learn together, and when to stop. This declaration is the
 * type, the validator and, through `npm run schema`, the published JSON Schema.
 */

const count = (max: number) => z.int().min(1).max(max);
const share = z.number().min(0).max(1);
const positive = z.number().positive();

const modelSchema = z
  .strictObject({
    architecture: z
      .literal('gpt2')
      .default('gpt2')
      .describe('Model family; its weights are saved in the Hugging Face layout.'),
    layers: count(128).default(4),
    width: count(16_384).default(128).describe('Size of the residual stream; heads must divide it.'),
    heads: count(256).default(4),
  })
  .prefault({});

const corpusSchema = z.strictObject({
  paths: z
    .union([
      z
        .string()
        .min(1)
        .transform((path) => [path]),
      z.array(z.string().min(1)).min(1).max(10_000),
    ])
    .describe(
      'Files, folders or globs of .txt, .md or .jsonl (one object with a "text" a line); relative to this file.',
    ),
  heldOut: z.number().gt(0).max(0.5).default(0.1).describe('Share of each document that is kept for validation.'),
});

const dataSchema = z
  .union([
    z
      .string()
      .min(1)
      .transform((path) => corpusSchema.parse({ paths: path })),
    corpusSchema,
  ])
  .describe('The corpus: a path alone, or paths and how much is held out.');

const tokenizerSchema = z
  .union([
    z.strictObject({ path: z.string().min(1).describe('A tokenizer.json in Hugging Face format.') }),
    z.strictObject({
      vocabularySize: z
        .int()
        .min(257)
        .max(65_536)
        .default(1024)
        .describe('Tokens of the byte-level BPE trained on the corpus.'),
    }),
  ])
  .prefault({});

const innerSchema = z
  .strictObject({
    optimizer: z
      .enum(['muon', 'adamw'])
      .default('muon')
      .describe('muon: Muon on the matrices of blocks, AdamW for the rest.'),
    rate: positive.max(10).optional().describe('Top learning rate; default 0.02 for Muon, 0.004 for AdamW.'),
    adamRate: positive.max(10).default(0.004).describe("With Muon: AdamW's top rate for embeddings, biases and norms."),
    muonMomentum: z.number().min(0).lt(1).default(0.95),
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.95]),
    epsilon: positive.default(1e-8),
    weightDecay: z.number().min(0).max(10).default(0.1),
    warmUpSteps: z.int().min(0).max(1_000_000).default(20),
    finalShare: share.default(0.05).describe('Floor of the cosine as a share of the top rate.'),
    clipNorm: positive.default(1).describe('Largest global gradient norm.'),
  })
  .prefault({});

const outerFields = {
  innerSteps: count(100_000).describe('H: inner steps between two merges of a fragment.'),
  fragments: count(1_000).describe('P: parts of the parameters that are merged in turn.'),
  rate: positive.max(10).describe("η: the outer optimizer's rate."),
  momentum: z.number().min(0).lt(1).describe('μ: its Nesterov momentum.'),
  quorum: z
    .union([z.literal('all'), count(100_000)])
    .describe('Islands that must be due before the grace window opens.'),
  graceS: z.number().min(0).max(86_400).describe('Seconds that islands wait for one another at most.'),
  overlapSteps: z.int().min(0).max(100_000).describe('τ: steps an island goes on with while its fragment is merged.'),
  localShare: share.describe('α: share of its own parameters an island keeps when a merged fragment arrives.'),
  weighting: z.enum(['tokens', 'tokens-times-rate']),
  averaging: z.enum(['mean', 'radial-directional']),
  upCodec: z
    .enum(CODEC_NAMES)
    .describe('How islands send: f32 is exact; the others carry differences with error feedback.'),
  downCodec: z.enum(CODEC_NAMES).describe('How merged fragments come back.'),
};
const strategy = z.enum(['diloco', 'fedavg', 'decoupled']);

const outerSchema = z
  .strictObject({ strategy: strategy.default('diloco'), ...z.object(outerFields).partial().shape })
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
  batch: count(65_536).default(8).describe('Sequences in one step of one island.'),
  context: z.int().min(2).max(65_536).default(128).describe('Tokens that the model sees at once.'),
  islands: count(1_000).default(4).describe('Islands to expect; the data is cut into as many shards.'),
  stop: stopSchema,
  evaluation: z
    .strictObject({
      everyMerges: count(1_000_000).default(2).describe('Validate after so many merges of the whole model.'),
      tokens: count(100_000_000).default(32_768).describe('Held-out tokens to validate on.'),
    })
    .prefault({}),
  checkpoints: z
    .strictObject({
      everyMerges: count(1_000_000).default(5).describe('Save after so many merges of the whole model.'),
      keep: count(1_000).default(2),
    })
    .prefault({}),
  sample: z
    .strictObject({
      prompt: z.string().min(1).max(10_000).default('It is a truth'),
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
  inner: innerSchema.unwrap().extend({ rate: positive.max(10) }),
  outer: z.strictObject({ strategy, ...outerFields }),
});
export type Job = z.output<typeof jobSchema>;
