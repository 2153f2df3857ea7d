import type { Provider } from '../ml/engine/session.ts';
import type { Evaluation, StepResult } from '../ml/training/trainer.ts';
import type { Parcel } from '../protocol/frame.ts';
import type { Job } from '../protocol/run-file.ts';
import type { FragmentClock } from './fragment-clock.ts';

/** What an island asks of whatever trains: a worker thread here, a browser's worker or a cluster elsewhere. */
export interface IslandTrainer {
  /**
   * Reads data, compiles the step, and takes the global parameters, one packed array a fragment. Called again
   * after a reconnection, it only takes the parameters.
   */
  prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void>;
  step(): Promise<StepResult>;
  /** Where it is with a fragment, as it travels: read at a step boundary, encoded with error feedback. */
  contribution(fragment: number): Promise<Parcel>;
  /**
   * Takes a merged fragment; `runStep` moves schedule and data ahead to where the run is.
   *
   * @throws HelioError HELIO-4004 when it cannot be read
   */
  receive(fragment: number, parcel: Parcel, runStep: number): Promise<void>;
  /** Summed loss in nats, and tokens, of part `part` of `of` of the held-out text under the global parameters. */
  evaluate(part: number, of: number): Promise<Evaluation>;
  save(checkpoint: string, clocks: readonly FragmentClock[]): Promise<void>;
  /**
   * Goes on from the island's own newest checkpoint (or the named one): all of it where the global fragments have
   * not moved since, otherwise its moments alone. @returns the restored clocks, or null
   */
  restore(checkpoint: string | null, versions: readonly number[]): Promise<readonly FragmentClock[] | null>;
  /** Moves ahead in schedule and data to where the run is. @returns the place now */
  skipTo(runStep: number): Promise<number>;
  release(): Promise<void>;
}

/** What the coordinator gave this island to do. */
export interface Assignment {
  readonly run: string;
  readonly job: Job;
  readonly shard: { readonly index: number; readonly count: number };
  readonly dataFolder: string;
  /** How data become numbers, as JSON (`job-data.ts`). */
  readonly preparation: string;
  /** Frozen weights that adapters are trained on, as a safetensors file; null where everything is trained. */
  readonly base: Uint8Array | null;
  readonly threads: number;
  readonly device: Provider;
  /** Folder for its own checkpoints. */
  readonly stateFolder: string;
}
