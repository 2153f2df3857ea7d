import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { nodeRuntime } from '../../ml/engine/node-runtime.ts';
import { parametersOf } from '../../ml/models/model.ts';
import type { ParameterArrays } from '../../ml/tensor/parameters.ts';
import { decodeSafetensors } from '../../ml/tensor/safetensors.ts';
import { type Evaluation, type StepResult, Trainer } from '../../ml/training/trainer.ts';
import { type Fragment, unpack } from '../../outer/fragments.ts';
import { openParcel, packParcel } from '../../outer/parcel.ts';
import type { Parcel } from '../../protocol/frame.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import { type DataSizes, fragmentsOf, modelOf, trainingOf } from '../layout.ts';
import type { Assignment, IslandTrainer } from '../trainer-face.ts';
import { loadIslandCheckpoint, saveIslandCheckpoint } from './island-checkpoint.ts';
import { type IslandData, openIslandData, type Preparation, tokenizerOf } from './job-data.ts';

/** What an island keeps of a fragment for the exchange. */
interface FragmentExchange {
  readonly layout: Fragment;
  /** The global parameters that it received last, packed. */
  readonly base: Float32Array;
  /** What its lossy contributions have left over, up to the last merge; and with the one under way. */
  readonly residual: Float32Array;
  readonly pending: Float32Array;
}

/** Trains in this thread: reads the shard, drives the engine, keeps checkpoints as files. */
export class LocalTrainer implements IslandTrainer {
  readonly #onProgress: (share: number) => void;
  #work:
    | {
        readonly assignment: Assignment;
        readonly exchange: FragmentExchange[];
        readonly trainer: Trainer;
        readonly data: IslandData;
      }
    | undefined;

  /** @param onProgress told how much of a large text is tokenized */
  constructor(onProgress: (share: number) => void = () => {}) {
    this.#onProgress = onProgress;
  }

  async prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void> {
    if (this.#work === undefined) this.#work = await prepareWork(assignment, fragments, this.#onProgress);
    else for (const [i, parameters] of fragments.entries()) await this.#take(i, parameters);
  }

  async step(): Promise<StepResult> {
    const { trainer, data, assignment } = this.#ready();
    const { microBatches } = assignment.job.inner;
    const first = trainer.steps * microBatches;
    return trainer.step(...Array.from({ length: microBatches }, (_, part) => data.batches(first + part)));
  }

  async contribution(fragment: number): Promise<Parcel> {
    const { trainer, exchange, assignment } = this.#ready();
    const { layout, base, residual } = exchange[fragment]!;
    const own = new Float32Array(layout.elements);
    await trainer.read(
      layout.tensors.map((t) => t.name),
      own,
    );
    const packed = packParcel(assignment.job.outer.upCodec, own, base, residual, -1);
    // The residual counts once the merge is there: a contribution that is asked for again starts from the old one.
    exchange[fragment] = { layout, base, residual, pending: packed.residual };
    return packed.parcel;
  }

  async receive(fragment: number, parcel: Parcel, runStep: number): Promise<void> {
    const { trainer, exchange, assignment } = this.#ready();
    await this.#take(fragment, openParcel(parcel, exchange[fragment]!.base, 1), assignment.job.outer.localShare);
    trainer.skipTo(runStep);
  }

  async #take(fragment: number, parameters: Float32Array, localShare = 0): Promise<void> {
    const { trainer, exchange } = this.#ready();
    const { layout, pending } = exchange[fragment]!;
    await trainer.write(unpack(layout, parameters), localShare);
    exchange[fragment] = { layout, base: parameters, residual: pending, pending };
  }

  async evaluate(part: number, of: number): Promise<Evaluation> {
    const { trainer, data } = this.#ready();
    return trainer.evaluate(data.heldOut.filter((_, i) => i % of === part));
  }

  async save(checkpoint: string, clocks: readonly FragmentClock[]): Promise<void> {
    const { trainer, assignment, exchange } = this.#ready();
    const residuals = exchange.map(({ residual }) => residual);
    saveIslandCheckpoint(assignment.stateFolder, {
      run: assignment.run,
      checkpoint,
      trainer: await trainer.save(),
      clocks,
      residuals,
    });
  }

  async restore(checkpoint: string | null, versions: readonly number[]): Promise<readonly FragmentClock[] | null> {
    const { trainer, assignment, exchange } = this.#ready();
    // After a reconnection the trainer's own moments are newer than any file.
    if (trainer.steps > 0) return null;
    const saved =
      loadIslandCheckpoint(assignment.stateFolder, assignment.run, checkpoint) ??
      loadIslandCheckpoint(assignment.stateFolder, assignment.run, null);
    if (saved === undefined) return null;
    const unmoved = saved.clocks.length === versions.length && saved.clocks.every((c, i) => c.version === versions[i]);
    await trainer.load(unmoved ? saved.trainer : { ...saved.trainer, parameters: new Map() });
    exchange.forEach((part, i) => {
      const residual = saved.residuals[i] ?? part.residual;
      exchange[i] = { ...part, residual, pending: residual };
    });
    return unmoved ? saved.clocks : null;
  }

  async skipTo(runStep: number): Promise<number> {
    const { trainer } = this.#ready();
    trainer.skipTo(runStep);
    return trainer.steps;
  }

  async release(): Promise<void> {
    await this.#work?.trainer.release();
    this.#work = undefined;
  }

  #ready() {
    if (this.#work === undefined)
      throw new HelioError('HELIO-2001', 'The trainer was asked to work before it was prepared.', 'Report this.');
    return this.#work;
  }
}

async function prepareWork(
  assignment: Assignment,
  packed: readonly Float32Array[],
  onProgress: (share: number) => void,
) {
  const { job, shard, dataFolder, threads, device, stateFolder } = assignment;
  const preparation = JSON.parse(assignment.preparation) as Preparation;
  const model = modelOf(job, sizesOf(preparation));
  const cache = path.join(stateFolder, 'tokens');
  const data = await openIslandData(job, preparation, shard, dataFolder, cache, onProgress);
  const fragments = fragmentsOf(model, job.outer.fragments);
  const trained = fragments.flatMap((fragment, i) => [...unpack(fragment, packed[i]!)]);
  const parameters = new Map([...frozenOf(assignment), ...trained]);
  requireAll(
    parameters,
    parametersOf(model).map((spec) => spec.name),
  );
  const trainer = await Trainer.create(
    { ...trainingOf(job, model), runtime: nodeRuntime(device), threads },
    parameters,
  );
  // What came from the coordinator is what it asks to be measured, until the next merge.
  await trainer.write(new Map(trained));
  return {
    // The trainer has the base now; the file that it came in need not be kept.
    assignment: { ...assignment, base: null },
    exchange: fragments.map((layout, i): FragmentExchange => {
      const residual = new Float32Array(layout.elements);
      return { layout, base: packed[i]!, residual, pending: residual };
    }),
    trainer,
    data,
  };
}

const sizesOf = (preparation: Preparation): DataSizes =>
  preparation.kind === 'text'
    ? { kind: 'text', vocabularySize: tokenizerOf(preparation).vocabularySize }
    : { kind: 'examples', shape: preparation.shape, outputs: preparation.outputs };

function frozenOf({ base }: Assignment): ParameterArrays {
  if (base === null) return new Map();
  const { tensors } = decodeSafetensors(base, 'the base that the coordinator sent');
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

function requireAll(parameters: ParameterArrays, names: readonly string[]): void {
  const missing = names.filter((name) => !parameters.has(name));
  if (missing.length === 0) return;
  throw new HelioError(
    'HELIO-4004',
    `The coordinator did not send ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ` and ${missing.length - 5} more` : ''}.`,
    'Both sides must run the same version of Heliotrope.',
  );
}
