import type { Provider } from '../ml/engine/session.ts';
import type { Evaluation, StepResult } from '../ml/training/trainer.ts';
import type { Fragment } from '../outer/fragments.ts';
import type { EncodedFragment } from '../protocol/frame.ts';
import type { Job } from '../protocol/run-file.ts';
import type { FragmentClock } from './fragment-clock.ts';
import type { ExchangeSettings, ExchangeState } from './fragment-exchange.ts';
import type { DataAccess } from './own-data.ts';

/** The interface to a trainer: a worker thread here, a browser's worker or a cluster elsewhere. */
export interface IslandTrainer {
  /**
   * Reads data, compiles the step, and takes the global parameters, one packed array a fragment.
   *
   * @throws HelioError HELIO-4006 when its model is not the one that the assignment's fragments are made of
   */
  prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void>;
  step(): Promise<StepResult>;
  /** A copy of where it is with a fragment at a step boundary, packed. */
  snapshot(fragment: number): Promise<Float32Array>;
  /**
   * Takes global parameters of a fragment, packed; they are what is evaluated from now on.
   *
   * @param kept of its own parameters; with a share of 1 it trains on from where it is
   * @param place in schedule and data to go on from
   */
  take(fragment: number, parameters: Float32Array, kept: Kept, place: number): Promise<void>;
  /** Summed loss in nats, and tokens, of part `part` of `of` of the held-out text under the global parameters. */
  evaluate(part: number, of: number): Promise<Evaluation>;
  /** @param exchange is handed over */
  save(checkpoint: string, clocks: readonly FragmentClock[], exchange: ExchangeState): Promise<void>;
  /**
   * Goes on from the island's own newest checkpoint (or the named one): all of it where the global fragments have
   * not moved since, otherwise its moments alone, and no clocks. @returns null where there is none
   */
  restore(
    checkpoint: string | null,
    versions: readonly number[],
  ): Promise<{ readonly clocks: readonly FragmentClock[] | null; readonly exchange: ExchangeState } | null>;
  /** Moves ahead in schedule and data to where the run is. @returns the place now */
  skipTo(runStep: number): Promise<number>;
  release(): Promise<void>;
}

/** What a trainer keeps of its own when it takes global parameters: a share α of them, or how far it moved from where it was (packed). */
export type Kept =
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'moved'; readonly from: Float32Array };

/** `FragmentExchange` behind a thread, so that packing and opening go on while the trainer computes. */
export interface IslandExchange {
  prepare(
    fragments: readonly Fragment[],
    settings: ExchangeSettings,
    parameters: readonly Float32Array[],
  ): Promise<void>;
  /** @param own is handed over */
  contribute(fragment: number, own: Float32Array, round: number): Promise<EncodedFragment>;
  /** @throws HelioError HELIO-4004 when it cannot be read */
  receive(fragment: number, version: number, encoded: EncodedFragment, round: number): Promise<Float32Array>;
  /** One that came whole, to be measured. */
  show(fragment: number, version: number, parameters: Float32Array, round: number): Promise<void>;
  reset(fragment: number, parameters: Float32Array, round: number): Promise<void>;
  rebase(fragment: number, version: number): Promise<void>;
  /** A copy. */
  save(): Promise<ExchangeState>;
  /** @param state is handed over */
  load(state: ExchangeState): Promise<void>;
  release(): Promise<void>;
}

/** The island's assignment from the coordinator. */
export interface Assignment {
  readonly run: string;
  readonly job: Job;
  /** What is exchanged, as the run's manifest has it. */
  readonly fragments: readonly Fragment[];
  /** Its name in the run. */
  readonly island: string;
  readonly shard: { readonly index: number; readonly count: number };
  /** What of the job's data its owner lets it read. */
  readonly data: DataAccess;
  /** How data become numbers, as JSON (`job-data.ts`). */
  readonly preparation: string;
  /** Frozen weights that adapters are trained on, as a safetensors file, on the disk or in memory; null where everything is trained. */
  readonly base: { readonly file: string } | Uint8Array | null;
  readonly threads: number;
  readonly device: Provider;
  /** Folder for its own checkpoints. */
  readonly stateFolder: string;
}
