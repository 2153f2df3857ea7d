import type { CodecName } from '../protocol/codec-names.ts';

/** What an outer strategy is made of. DiLoCo, FedAvg and Decoupled DiLoCo differ in nothing else. */
export interface OuterSettings {
  /** H: inner steps between two merges of the same fragment. */
  readonly innerSteps: number;
  /** P: fragments that are merged in turn. */
  readonly fragments: number;
  /** η, the outer optimizer's rate. */
  readonly rate: number;
  /** μ, its Nesterov momentum. */
  readonly momentum: number;
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
  /** Codec from island to coordinator, and back; all but f32 carry differences with error feedback. */
  readonly upCodec: CodecName;
  readonly downCodec: CodecName;
}

/** tokens: w = tokens (FedAvg) · tokens-times-rate: w = tokens · (tokens / steps) (Decoupled DiLoCo). */
export type Weighting = 'tokens' | 'tokens-times-rate';

/** mean: weighted mean · radial-directional: mean direction, mean length, except for embeddings. */
export type Averaging = 'mean' | 'radial-directional';

export type Strategy = 'diloco' | 'fedavg' | 'decoupled';

/**
 * The settings that each name stands for.
 * DiLoCo: one fragment, everybody, Nesterov. FedAvg: the same with a plain average. Decoupled: fragments on a
 * minimum quorum, overlapped with training, so that nobody holds. η and μ of the first and last are those that our
 * calibration found best for short runs (docs/decisions/0006-quickstart-calibration.md), not the papers' 0.7 and 0.9.
 */
export const STRATEGIES: Readonly<Record<Strategy, OuterSettings>> = {
  diloco: {
    innerSteps: 20,
    fragments: 1,
    rate: 0.9,
    momentum: 0.5,
    quorum: 'all',
    graceS: 30,
    overlapSteps: 0,
    localShare: 0,
    weighting: 'tokens',
    averaging: 'mean',
    upCodec: 'f32',
    downCodec: 'f32',
  },
  fedavg: {
    innerSteps: 20,
    fragments: 1,
    rate: 1,
    momentum: 0,
    quorum: 'all',
    graceS: 30,
    overlapSteps: 0,
    localShare: 0,
    weighting: 'tokens',
    averaging: 'mean',
    upCodec: 'f32',
    downCodec: 'f32',
  },
  decoupled: {
    innerSteps: 20,
    fragments: 4,
    rate: 0.9,
    momentum: 0.5,
    quorum: 1,
    graceS: 2,
    overlapSteps: 5,
    localShare: 0,
    weighting: 'tokens-times-rate',
    averaging: 'mean',
    upCodec: 'f32',
    downCodec: 'f32',
  },
};
