import { z } from 'zod';
import { dataSchema, tokenizerSchema } from './run-file-data.ts';
import { modelSchema } from './run-file-model.ts';
import { count, positive, share } from './run-file-numbers.ts';
import { outerFields, outerSchema, strategy } from './run-file-outer.ts';

/**
 * The run file: what to train, on what, how islands learn together, and when to stop. This declaration is the
 * type, the validator and, through `npm run schema`, the published JSON Schema.
 */

const context = z.int().min(2).max(65_536);

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
      location: z
        .string()
        .trim()
        .min(1)
        .max(200)
        .optional()
        .describe('Where the islands stand, as exactly as you like to tell, for the model card: "Freiburg, Germany".'),
      plan: z
        .strictObject({
          deadline: z.iso
            .datetime({ offset: true })
            .describe('When stop.tokens should be trained, like 2027-03-01T08:00:00Z or 2027-03-01T09:00:00+01:00.'),
          objective: z
            .enum(['carbon', 'cost'])
            .default('carbon')
            .describe('What power from the grid should have least of.'),
          trust: z
            .enum(['low', 'mid', 'high'])
            .default('mid')
            .describe("How much of the sun's forecast is counted on: the 10th percentile, the likeliest, the 90th."),
        })
        .optional()
        .describe('Plans when islands that may take power from the grid do so. Needs stop.tokens.'),
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
