import path from 'node:path';
import { HelioError } from '../../errors.ts';
import type { Batch } from '../../ml/data/batches.ts';
import { nodeRuntime } from '../../ml/engine/node-runtime.ts';
import { type ModelConfig, parametersOf } from '../../ml/models/model.ts';
import { type ParameterArrays, trainable } from '../../ml/tensor/parameters.ts';
import { openSafetensors, readSafetensors, type Safetensors } from '../../ml/tensor/safetensors.ts';
import { joinArrays, LazyArrays } from '../../ml/tensor/tensor-source.ts';
import { type Evaluation, type StepResult, Trainer } from '../../ml/training/trainer.ts';
import { type Fragment, shapeOf, unpack } from '../../outer/fragments.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import type { ExchangeState } from '../fragment-exchange.ts';
import { type DataSizes, modelOf, trainingOf } from '../layout.ts';
import type { Assignment, IslandTrainer, Kept } from '../trainer-interface.ts';
import { islandFiles } from './data-files.ts';
import { openIslandCheckpoint, saveIslandCheckpoint } from './island-checkpoint.ts';
import { type IslandData, openIslandData, seedOf } from './island-data.ts';
import { type Preparation, tokenizerOf } from './job-data.ts';

/** Trains in this thread: reads the shard, drives the engine, keeps checkpoints as files. */
export class LocalTrainer implements IslandTrainer {
  readonly #onProgress: (share: number) => void;
  #work:
    | {
        readonly assignment: Assignment;
        readonly trainer: Trainer;
        readonly data: IslandData;
      }
    | undefined;

  /** @param onProgress told how much of a large text is tokenized */
  constructor(onProgress: (share: number) => void = () => {}) {
    this.#onProgress = onProgress;
  }

  async prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void> {
    this.#work = await prepareWork(assignment, fragments, this.#onProgress);
  }

  async step(): Promise<StepResult> {
    const { trainer, data, assignment } = this.#ready();
    const { microBatches } = assignment.job.inner;
    const first = trainer.steps * microBatches;
    return trainer.step(...Array.from({ length: microBatches }, (_, part) => data.batches(first + part)));
  }

  async snapshot(fragment: number): Promise<Float32Array> {
    const { trainer, assignment } = this.#ready();
    const { elements, tensors } = assignment.fragments[fragment]!;
    const own = new Float32Array(elements);
    await trainer.read(
      tensors.map((t) => t.name),
      own,
    );
    return own;
  }

  async take(fragment: number, parameters: Float32Array, kept: Kept, place: number): Promise<void> {
    const { trainer, assignment } = this.#ready();
    const layout = assignment.fragments[fragment]!;
    await trainer.write(
      unpack(layout, parameters),
      kept.kind === 'share' ? kept : { kind: 'moved', from: unpack(layout, kept.from) },
    );
    trainer.moveTo(place);
  }

  async evaluate(part: number, of: number): Promise<Evaluation> {
    const { trainer, data } = this.#ready();
    const mine = function* (): Generator<Batch> {
      for (let i = part; i < data.heldOut.length; i += of) yield data.heldOut.at(i)!;
    };
    return trainer.evaluate(mine());
  }

  async save(checkpoint: string, clocks: readonly FragmentClock[], exchange: ExchangeState): Promise<void> {
    const { trainer, assignment } = this.#ready();
    saveIslandCheckpoint(assignment.stateFolder, {
      run: assignment.run,
      checkpoint,
      trainer: await trainer.save(),
      clocks,
      exchange,
    });
  }

  async restore(checkpoint: string | null, versions: readonly number[]): ReturnType<IslandTrainer['restore']> {
    const { trainer, assignment } = this.#ready();
    const saved =
      openIslandCheckpoint(assignment.stateFolder, assignment.run, checkpoint) ??
      openIslandCheckpoint(assignment.stateFolder, assignment.run, null);
    if (saved === undefined) return null;
    try {
      const unmoved =
        saved.clocks.length === versions.length && saved.clocks.every((c, i) => c.version === versions[i]);
      await trainer.load(unmoved ? saved.trainer : { ...saved.trainer, parameters: new Map() });
      return { clocks: unmoved ? saved.clocks : null, exchange: saved.exchange };
    } finally {
      saved.close();
    }
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
  const { job, island, shard, threads, device, stateFolder, fragments } = assignment;
  const files = islandFiles(job, assignment.data);
  const preparation = JSON.parse(assignment.preparation) as Preparation;
  const model = modelOf(job, sizesOf(preparation));
  const cache = path.join(stateFolder, 'tokens');
  const seed = seedOf(job, island);
  const data = await openIslandData(job, preparation, shard, files, seed, cache, onProgress);
  requireSame(fragments, model);
  const trained = fragments.flatMap((fragment, i) => [...unpack(fragment, packed[i]!)]);
  const base = openBase(assignment);
  // The base's weights are read one by one, as the trainer takes them.
  const parameters = joinArrays(new LazyArrays(base?.tensors ?? new Map()), new Map(trained));
  requireAll(
    parameters,
    parametersOf(model).map((spec) => spec.name),
  );
  const trainer = await Trainer.create(
    { ...trainingOf(job, model), seed, runtime: nodeRuntime(device), threads },
    parameters,
  ).finally(() => base?.close());
  // What came from the coordinator is what it asks to be measured, until the next merge.
  await trainer.write(new Map(trained));
  return {
    // The trainer has the base now; the file that it came in need not be kept.
    assignment: { ...assignment, base: null },
    trainer,
    data,
  };
}

const sizesOf = (preparation: Preparation): DataSizes =>
  preparation.kind === 'text'
    ? { kind: 'text', vocabularySize: tokenizerOf(preparation).vocabularySize }
    : { kind: 'examples', shape: preparation.shape, outputs: preparation.outputs };

function openBase({ base }: Assignment): Safetensors | undefined {
  if (base === null) return undefined;
  return 'file' in base ? openSafetensors(base.file) : readSafetensors(base, 'the base that the coordinator sent');
}

/** What is exchanged has to be what is trained here: names and shapes; in which order is the run's affair. */
function requireSame(fragments: readonly Fragment[], model: ModelConfig): void {
  const own = new Map(trainable(parametersOf(model)).map((spec) => [spec.name, spec.shape.join(' × ')]));
  const given = new Map(fragments.flatMap(({ tensors }) => tensors.map((t) => [t.name, shapeOf(t).join(' × ')])));
  const differing = [...new Set([...own.keys(), ...given.keys()])].find((name) => own.get(name) !== given.get(name));
  if (differing === undefined) return;
  const of = (shape: string | undefined): string => (shape === undefined ? 'has no such tensor' : `has it as ${shape}`);
  throw new HelioError(
    'HELIO-4006',
    `Of ${differing} the run's manifest ${of(given.get(differing))}, and the model that this island builds ${of(own.get(differing))}.`,
    'Install the version of Heliotrope that the host has. A model that is given from outside trains on PyTorch islands alone.',
  );
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
