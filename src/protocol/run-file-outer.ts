import { z } from 'zod';
import { CODEC_PATTERN, type CodecName, NUMBER_CODECS } from './codec-names.ts';
import { AVERAGINGS, FRAGMENTATIONS, OUTER_OPTIMIZERS, STRATEGY_NAMES } from './outer-names.ts';
import { count, positive, share } from './run-file-numbers.ts';

/** `outer` of a run file: how islands learn together. */

const codec = z
  .string()
  .regex(
    CODEC_PATTERN,
    `must be one of ${NUMBER_CODECS.join(', ')}, alone or behind top-1/N+ (N from 2 to 4096) or low-rank-R+ (R from 1 to 256)`,
  )
  // The pattern is the type.
  .transform((name) => name as CodecName);

export const outerFields = {
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
export const strategy = z.enum(STRATEGY_NAMES);

export const outerSchema = z
  .strictObject({ strategy: strategy.default('auto'), ...z.object(outerFields).partial().shape })
  .describe('How islands learn together; what is left out follows from the strategy.')
  .prefault({});
