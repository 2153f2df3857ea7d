import type { CodecName } from '../protocol/codec-names.ts';
import type { AVERAGINGS, OUTER_OPTIMIZERS, STRATEGY_NAMES } from '../protocol/outer-names.ts';

/** What an outer strategy is made of. DiLoCo, FedAvg and Decoupled DiLoCo differ in nothing else. */
export interface OuterSettings {
  /** H: inner steps between two merges of the same fragment. */
  readonly innerSteps: number;
  /** P: fragments that are merged in turn. */
  readonly fragments: number;
  /** η, the outer optimizer's rate. */
  readonly rate: number;
  /** Which optimizer steps along the averaged pseudo-gradient. */
  readonly optimizer: OuterOptimizer;
  /** μ, its momentum; β₁ of the adaptive ones. */
  readonly momentum: number;
  /** β₂ and τ of the adaptive ones. */
  readonly secondMomentum: number;
  readonly adaptivity: number;
  /** How many islands have to be due before the grace window opens. */
  readonly quorum: number | 'all';
  /** How long the window stays open for the others, and how long an island holds at most. */
  readonly graceS: number;
  /** τ: inner steps that an island goes on with while its fragment is being merged; then it holds. */
  readonly overlapSteps: number;
  /** α: share of its own parameters that an island keeps when a merged fragment arrives. */
  readonly localShare: number;
  readonly weighting: Weighting;
  readonly averaging: Averaging;
  /** Share of islands that the robust rules are to survive. */
  readonly faultyShare: number;
  /** How many times the median length a contribution may have; longer ones are scaled down to it. */
  readonly normBound: number;
  /** Codec from island to coordinator, and back; all but f32 carry differences with error feedback. */
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

/** nesterov: DiLoCo's · momentum: FedAvgM's · adam, yogi: FedAdam's and FedYogi's. */
export type OuterOptimizer = (typeof OUTER_OPTIMIZERS)[number];

export type Strategy = (typeof STRATEGY_NAMES)[number];

/** One fragment, everybody, weighted by tokens, all in float32. */
const ROUNDS: OuterSettings = {
  innerSteps: 20,
  fragments: 1,
  rate: 1,
  optimizer: 'nesterov',
  momentum: 0,
  secondMomentum: 0.99,
  adaptivity: 1e-3,
  quorum: 'all',
  graceS: 30,
  overlapSteps: 0,
  localShare: 0,
  weighting: 'tokens',
  averaging: 'mean',
  faultyShare: 0.25,
  normBound: 10,
  upCodec: 'f32',
  downCodec: 'f32',
};

/**
 * The settings that each name stands for.
 *
 * - fedavg: a plain average (McMahan et al., arXiv 1602.05629) · fedavgm: with momentum 0.9 on the server (Hsu et al.,
 *   arXiv 1909.06335) · fedadam, fedyogi: with β₁ 0.9, β₂ 0.99, τ 10⁻³ and η 10⁻² (Reddi et al., arXiv 2003.00295, appendix D).
 * - diloco: Nesterov. η and μ are those that our calibration found best for short runs
 *   (docs/decisions/0006-quickstart-calibration.md), not the paper's 0.7 and 0.9.
 * - streaming: fragments in turn, overlapped, mixed by halves, four bits up (Streaming DiLoCo, arXiv 2501.18512: η 0.4, α 0.5).
 * - decoupled: fragments on a minimum quorum, overlapped with training, so that nobody holds.
 */
export const STRATEGIES: Readonly<Record<Strategy, OuterSettings>> = {
  fedavg: ROUNDS,
  fedavgm: { ...ROUNDS, optimizer: 'momentum', momentum: 0.9 },
  fedadam: { ...ROUNDS, optimizer: 'adam', momentum: 0.9, rate: 0.01 },
  fedyogi: { ...ROUNDS, optimizer: 'yogi', momentum: 0.9, rate: 0.01 },
  diloco: { ...ROUNDS, rate: 0.9, momentum: 0.5 },
  streaming: {
    ...ROUNDS,
    innerSteps: 100,
    fragments: 4,
    rate: 0.4,
    momentum: 0.9,
    overlapSteps: 2,
    localShare: 0.5,
    upCodec: 'e3m0',
  },
  decoupled: {
    ...ROUNDS,
    fragments: 4,
    rate: 0.9,
    momentum: 0.5,
    quorum: 1,
    graceS: 2,
    overlapSteps: 5,
    weighting: 'tokens-times-rate',
  },
};
