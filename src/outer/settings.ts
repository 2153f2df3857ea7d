import { type CodecName, codecParts } from '../protocol/codec-names.ts';
import type { AVERAGINGS, FRAGMENTATIONS, OUTER_OPTIMIZERS, STRATEGY_NAMES } from '../protocol/outer-names.ts';

/** What an outer strategy is made of. DiLoCo, FedAvg and Decoupled DiLoCo differ in nothing else. */
export interface OuterSettings {
  /** H: inner steps between two merges of the same fragment. */
  readonly innerSteps: number;
  /** Steps at the beginning of the run that are merged one by one, as if H were 1 (a short synchronous start). */
  readonly startSteps: number;
  /** Whether a slower island takes fewer of them, so that all are due together. */
  readonly stepsBySpeed: boolean;
  /** P: fragments that are merged in turn, and how they are cut. */
  readonly fragments: number;
  readonly fragmentation: Fragmentation;
  /** η, the outer optimizer's rate. */
  readonly rate: number;
  /** Which optimizer steps along the averaged pseudo-gradient. */
  readonly optimizer: OuterOptimizer;
  /** μ, its momentum; β₁ of the adaptive ones. */
  readonly momentum: number;
  /** N of delayed Nesterov: merges from one momentum step to the next. */
  readonly momentumPeriod: number;
  /** β₂ and τ of the adaptive ones. */
  readonly secondMomentum: number;
  readonly adaptivity: number;
  /** How many islands have to be due before the grace window opens. */
  readonly quorum: number | 'all';
  /** Who takes part in a merge and gets its result: all who are there, or those who are due. */
  readonly pull: Pull;
  /** How long the window stays open for the others, and how long an island holds at most. */
  readonly graceS: number;
  /** How many merges a contribution's base may lie behind; its difference is then the one to its own base. */
  readonly maxStaleness: number;
  /** τ: inner steps that an island goes on with while its fragment is being merged; then it holds. */
  readonly overlapSteps: number;
  /**
   * Whether a fragment is read at the very step at which it is due, and written τ steps later (Streaming DiLoCo, arXiv 2501.18512, algorithm 2): τ lies
   * inside H, and schedule and data go on. Otherwise it is read when the island is asked, written on arrival, and H counts from there.
   */
  readonly exactOverlap: boolean;
  /** α: share of its own parameters that an island keeps when a merged fragment arrives. */
  readonly localShare: number;
  /**
   * What an island trained since it handed in is kept when the merged fragment arrives, θ ← θ_global + (θ − θ_handed in), and counts towards the next
   * merge. So is all that it trained when what it handed in came too late.
   */
  readonly carryOver: boolean;
  /** An island takes a merged fragment when it next contributes, and not when it arrives. */
  readonly oneStepDelay: boolean;
  readonly weighting: Weighting;
  readonly averaging: Averaging;
  /** Share of islands that the robust rules are to survive. */
  readonly faultyShare: number;
  /** How many times the median length a contribution may have; longer ones are scaled down to it. */
  readonly normBound: number;
  /** μ of FedProx: how strongly an inner step is pulled towards the newest global parameters. */
  readonly proximal: number;
  /** Codec from island to coordinator, and back; all but f32 carry differences with error feedback. What the latter is good for: {@link sendsWhole}. */
  readonly upCodec: CodecName;
  readonly downCodec: CodecName;
}

/** tokens: w = tokens (FedAvg) · tokens-times-rate: w = tokens · (tokens / steps) (Decoupled DiLoCo). */
export type Weighting = 'tokens' | 'tokens-times-rate';

/**
 * mean: weighted mean · radial-directional: mean direction, mean length, except for embeddings · the others hold when some
 * islands lie (`averaging/`).
 */
export type Averaging = (typeof AVERAGINGS)[number];

/** nesterov: DiLoCo's · delayed-nesterov: for islands that come one by one · momentum: FedAvgM's · adam, yogi: FedAdam's and FedYogi's. */
export type OuterOptimizer = (typeof OUTER_OPTIMIZERS)[number];

/** balanced: nearly equal bytes · sequential, strided: whole layers, neighbours together or apart. */
export type Fragmentation = (typeof FRAGMENTATIONS)[number];

export type Pull = 'present' | 'due';

/**
 * Whether merged fragments travel whole, in float32. Where only those that are due get one, the others miss it: a difference would then be to
 * something that they do not have.
 */
export const sendsWhole = ({ pull, downCodec }: Pick<OuterSettings, 'pull' | 'downCodec'>): boolean =>
  downCodec === 'f32' || pull === 'due';

export type Strategy = (typeof STRATEGY_NAMES)[number];

/** What a strategy may depend on: how many islands are expected, how many inner steps each is to take, by which optimizer, and how updates travel where that is said. */
export interface RunShape {
  readonly islands: number;
  readonly steps: number;
  readonly inner: 'muon' | 'adamw' | 'sgd';
  readonly upCodec?: CodecName | undefined;
  readonly downCodec?: CodecName | undefined;
}

/** One fragment, everybody, weighted by tokens, all in float32. */
const ROUNDS: OuterSettings = {
  innerSteps: 20,
  startSteps: 0,
  stepsBySpeed: false,
  fragments: 1,
  fragmentation: 'balanced',
  rate: 1,
  optimizer: 'nesterov',
  momentum: 0,
  momentumPeriod: 1,
  secondMomentum: 0.99,
  adaptivity: 1e-3,
  quorum: 'all',
  pull: 'present',
  graceS: 30,
  maxStaleness: 0,
  overlapSteps: 0,
  exactOverlap: false,
  localShare: 0,
  carryOver: false,
  oneStepDelay: false,
  weighting: 'tokens',
  averaging: 'mean',
  faultyShare: 0.25,
  normBound: 10,
  proximal: 0,
  upCodec: 'f32',
  downCodec: 'f32',
};

/**
 * The settings that each name stands for: the papers', where they say.
 *
 * - auto: what our measurements argue for ({@link chooseSettings}).
 * - fedavg: a plain average (McMahan et al., arXiv 1602.05629) · fedavgm: with momentum 0.9 on the server (Hsu et al.,
 *   arXiv 1909.06335) · fedadam, fedyogi: with β₁ 0.9, β₂ 0.99, τ 10⁻³ and η 10⁻² (Reddi et al., arXiv 2003.00295, appendix D) ·
 *   fedprox: with a proximal term inside (Li et al., arXiv 1812.06127, of whose 0.001 to 1 this is the second).
 * - diloco: Nesterov, H 500, η 0.7, μ 0.9 (arXiv 2311.08105) · muloco: the same with Muon inside; H 30, η 0.7 and the μ 0.5 that
 *   served it best in a speed run (arXiv 2505.23725; KellerJordan/modded-nanogpt, pull request 277).
 * - data-parallel: the synchronous baseline, everything in float32 after every step, and nobody goes on before. With SGD without
 *   momentum inside it is one step on the batches of all. Muon and AdamW step on each island's own gradient before parameters are
 *   averaged: Muon's loss is then some 3 % above that of one optimizer with all batches (docs/results/quality.md, strategies).
 * - streaming: fragments of layers in turn, read and written by the paper's timetable, mixed by halves, four bits up (arXiv 2501.18512: H 100,
 *   η 0.4, α 0.5).
 * - decoupled: fragments on a minimum quorum, overlapped with training, so that nobody holds (arXiv 2604.21428).
 * - dilocox: the merge of a round is taken one round later, low rank and four bits (arXiv 2506.21263).
 * - sparseloco: one number in 64, four bits each; error feedback does momentum's work (arXiv 2508.15706: η 1).
 * - async: islands one by one, each as many steps as its speed allows, delayed Nesterov over as many as there are islands
 *   (arXiv 2401.09135: η 0.7, μ 0.9).
 */
export const STRATEGIES: Readonly<Record<Strategy, (run: RunShape) => OuterSettings>> = {
  auto: chooseSettings,
  fedavg: () => ROUNDS,
  fedavgm: () => ({ ...ROUNDS, optimizer: 'momentum', momentum: 0.9 }),
  fedadam: () => ({ ...ROUNDS, optimizer: 'adam', momentum: 0.9, rate: 0.01 }),
  fedyogi: () => ({ ...ROUNDS, optimizer: 'yogi', momentum: 0.9, rate: 0.01 }),
  fedprox: () => ({ ...ROUNDS, proximal: 0.01 }),
  'data-parallel': () => ({ ...ROUNDS, innerSteps: 1 }),
  diloco: () => ({ ...ROUNDS, innerSteps: 500, rate: 0.7, momentum: 0.9 }),
  muloco: () => ({ ...ROUNDS, innerSteps: 30, rate: 0.7, momentum: 0.5 }),
  streaming: () => ({
    ...ROUNDS,
    innerSteps: 100,
    fragments: 4,
    fragmentation: 'strided',
    rate: 0.4,
    momentum: 0.9,
    overlapSteps: 2,
    exactOverlap: true,
    localShare: 0.5,
    upCodec: 'e3m0',
  }),
  decoupled: () => ({
    ...ROUNDS,
    fragments: 4,
    rate: 0.9,
    momentum: 0.5,
    quorum: 1,
    graceS: 2,
    overlapSteps: 5,
    weighting: 'tokens-times-rate',
  }),
  dilocox: () => ({
    ...ROUNDS,
    innerSteps: 100,
    rate: 0.7,
    momentum: 0.9,
    overlapSteps: 10,
    maxStaleness: 1,
    oneStepDelay: true,
    upCodec: 'low-rank-16+int4',
    downCodec: 'low-rank-16+int4',
  }),
  sparseloco: () => ({ ...ROUNDS, innerSteps: 30, upCodec: 'top-1/64+int4', downCodec: 'int4' }),
  async: ({ islands }) => ({
    ...ROUNDS,
    innerSteps: 50,
    stepsBySpeed: true,
    rate: 0.7,
    optimizer: 'delayed-nesterov',
    momentum: 0.9,
    momentumPeriod: islands,
    quorum: 1,
    pull: 'due',
    maxStaleness: 4 * islands,
  }),
};

/**
 * The default, by the measurements in docs/decisions/0010-default-outer-settings.md: H grows with the square root of the run's
 * length (a fifth more or less, so that rounds end with the run), four bits a number both ways, no synchronous start. Islands with Muon, whose own momentum is short, leave more of it
 * to the outer optimizer (Nesterov, η 0.8, μ 0.7) and need half as many merges: H from 10 at 400 steps to 100 at 40,000; with
 * the others η 0.9, μ 0.3, and H from 5 at 400 steps.
 */
export function chooseSettings({ steps, inner, upCodec = 'int4', downCodec = 'int4' }: RunShape): OuterSettings {
  const [least, share] = inner === 'muon' ? [10, 1 / 2] : [5, 1 / 4];
  const wanted = Math.min(steps, Math.max(least, Math.min(100, Math.round(Math.sqrt(steps) * share))));
  const innerSteps = divisorNear(steps, wanted);
  return { ...ROUNDS, innerSteps, ...outerStepFor(inner, [upCodec, downCodec]), upCodec, downCodec };
}

/** A divisor of `whole` that differs from `wanted` by a fifth at most, the nearest; where there is none, `wanted`. */
function divisorNear(whole: number, wanted: number): number {
  for (let by = 0; 5 * by <= wanted; by++)
    for (const candidate of [wanted - by, wanted + by]) if (whole % candidate === 0) return candidate;
  return wanted;
}

/** The less of a difference travels at once, the less momentum: what error feedback holds back comes late, and momentum has run on without it by then. */
function outerStepFor(
  inner: RunShape['inner'],
  codecs: readonly CodecName[],
): Pick<OuterSettings, 'rate' | 'momentum'> {
  const parts = codecs.map(codecParts);
  if (parts.some(({ kind }) => kind !== 'numbers')) return { rate: 1, momentum: 0 };
  const oneBit = parts.some(({ numbers }) => numbers === 'sign');
  return inner === 'muon' && !oneBit ? { rate: 0.8, momentum: 0.7 } : { rate: 0.9, momentum: 0.3 };
}
