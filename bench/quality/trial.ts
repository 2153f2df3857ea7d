import type { OuterSettings } from '../../src/outer/settings.ts';

/** One training run of the quality benchmark, as plain data: what a worker is told, and the key under which its result is kept. */
export interface Trial {
  readonly corpus: CorpusName;
  readonly model: SizeName;
  readonly seed: number;
  /** Inner steps of each island, and where the schedule ends. */
  readonly steps: number;
  /**
   * islands: by the coordinator's own machine, in virtual time · together: synchronous data-parallel, one optimizer step on the
   * batches of all · longer: one machine, as many times more steps as there are islands · untrained: no step at all.
   */
  readonly who: 'islands' | 'together' | 'longer' | 'untrained';
  readonly islands: number;
  /** Sequences a step and island; the model's when left out. */
  readonly batch?: number;
  readonly inner: Inner;
  /** Over those of FedAvg. */
  readonly outer: Partial<OuterSettings>;
  /** mixed: every island reads all documents · by-document: each its own ones. */
  readonly shards: 'mixed' | 'by-document';
  /** Chance that a contribution is lost on its way. */
  readonly lost: number;
  /** What the first quarter of the islands hands in instead of where it is; nobody lies when left out. */
  readonly attack?: Attack;
  /** Steps a virtual second of each island; a shorter list is repeated. */
  readonly speeds: readonly number[];
  /** Virtual seconds from a merge to its islands. */
  readonly latencyS: number;
}

export interface TrialResult {
  /** Mean cross-entropy of the merged model, nats a token: on the half of the held-out text that settings are chosen by, and on the other. */
  readonly validation: number;
  readonly test: number;
  readonly parameters: number;
  /** Payload bytes up and down an island, and tokens it trained. */
  readonly bytesPerIsland: number;
  readonly tokensPerIsland: number;
  readonly merges: number;
  /** Tokens that were merged, over those that all islands could have trained meanwhile. */
  readonly goodput: number;
  /** Largest and mean bytes a virtual second up from one island, over windows of one step. */
  readonly peakBytesPerS: number;
  readonly meanBytesPerS: number;
  readonly virtualS: number;
  readonly wallS: number;
}

/** Rates are those at the top of the schedule; beside Muon, AdamW has `adamRate` for what is no matrix. */
export type Inner =
  | { readonly kind: 'adamw'; readonly rate: number }
  | { readonly kind: 'muon'; readonly rate: number; readonly adamRate: number; readonly momentum: number };

/** sign-flip: four times backwards · scaling: a hundred times too far · noise: with noise of its own length added a hundred times. */
export type Attack = 'sign-flip' | 'scaling' | 'noise';

export type CorpusName = 'austen' | 'moby-dick';
export type SizeName = 'small' | 'medium';

export const SIZES: Readonly<
  Record<SizeName, { layers: number; width: number; heads: number; context: number; batch: number; vocabulary: number }>
> = {
  small: { layers: 2, width: 64, heads: 4, context: 64, batch: 8, vocabulary: 512 },
  medium: { layers: 5, width: 128, heads: 4, context: 128, batch: 8, vocabulary: 1024 },
};

export const batchOf = ({ model, batch }: Pick<Trial, 'model' | 'batch'>): number => batch ?? SIZES[model].batch;
