import { HelioError } from '../../errors.ts';
import { type Batch, type BatchSource, batchesOf, evaluationBatches } from '../../ml/data/batches.ts';
import { readDocuments, shardOf, splitCorpus } from '../../ml/data/corpus.ts';
import { loadTokenizer, tokenize } from '../../ml/data/tokenizer.ts';
import { type StepResult, Trainer } from '../../ml/training/trainer.ts';
import { type Fragment, pack, unpack } from '../../outer/fragments.ts';
import { openParcel, packParcel } from '../../outer/parcel.ts';
import type { Parcel } from '../../protocol/frame.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import { fragmentsOf, innerOptimizerOf, modelOf } from '../layout.ts';
import type { Assignment, IslandTrainer } from '../trainer-face.ts';
import { loadIslandCheckpoint, saveIslandCheckpoint } from './island-checkpoint.ts';

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
  #work:
    | {
        assignment: Assignment;
        readonly exchange: FragmentExchange[];
        trainer: Trainer;
        batches: BatchSource;
        heldOut: readonly Batch[];
      }
    | undefined;

  async prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void> {
    if (this.#work === undefined) this.#work = await prepareWork(assignment, fragments);
    else for (const [i, parameters] of fragments.entries()) this.#take(i, parameters);
  }

  async step(): Promise<StepResult> {
    const { trainer, batches } = this.#ready();
    return trainer.step(batches(trainer.steps));
  }

  async contribution(fragment: number): Promise<Parcel> {
    const { trainer, exchange, assignment } = this.#ready();
    const { layout, base, residual } = exchange[fragment]!;
    const own = pack(layout, trainer.read(layout.tensors.map((t) => t.name)));
    const packed = packParcel(assignment.job.outer.upCodec, own, base, residual, -1);
    // The residual counts once the merge is there: a contribution that is asked for again starts from the old one.
    exchange[fragment] = { layout, base, residual, pending: packed.residual };
    return packed.parcel;
  }

  async receive(fragment: number, parcel: Parcel, runStep: number): Promise<void> {
    const { trainer, exchange, assignment } = this.#ready();
    this.#take(fragment, openParcel(parcel, exchange[fragment]!.base, 1), assignment.job.outer.localShare);
    trainer.skipTo(runStep);
  }

  #take(fragment: number, parameters: Float32Array, localShare = 0): void {
    const { trainer, exchange } = this.#ready();
    const { layout, pending } = exchange[fragment]!;
    trainer.write(unpack(layout, parameters), localShare);
    exchange[fragment] = { layout, base: parameters, residual: pending, pending };
  }

  async evaluate(part: number, of: number): Promise<{ lossSum: number; tokens: number }> {
    const { trainer, heldOut } = this.#ready();
    return trainer.evaluate(heldOut.filter((_, i) => i % of === part));
  }

  async save(checkpoint: string, clocks: readonly FragmentClock[]): Promise<void> {
    const { trainer, assignment, exchange } = this.#ready();
    const residuals = exchange.map(({ residual }) => residual);
    saveIslandCheckpoint(assignment.stateFolder, {
      run: assignment.run,
      checkpoint,
      trainer: trainer.save(),
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
    trainer.load(unmoved ? saved.trainer : { ...saved.trainer, parameters: new Map() });
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

async function prepareWork(assignment: Assignment, packed: readonly Float32Array[]) {
  const { job, shard, dataFolder, tokenizerJson, threads } = assignment;
  const tokenizer = loadTokenizer(tokenizerJson, "the run's tokenizer");
  const model = modelOf(job, tokenizer.vocabularySize);
  const corpus = splitCorpus(readDocuments(job.data.paths, dataFolder), job.data.heldOut);
  const stream = tokenize(tokenizer, shardOf(corpus.training, shard.index, shard.count));
  const heldOutStream = tokenize(tokenizer, corpus.validation);
  checkLength(stream, job.context, `Shard ${shard.index + 1} of ${shard.count} of the corpus`);
  checkLength(heldOutStream, job.context, 'The held-out text');
  const fragments = fragmentsOf(model, job.outer.fragments);
  const parameters = new Map(fragments.flatMap((fragment, i) => [...unpack(fragment, packed[i]!)]));
  const trainer = await Trainer.create(
    {
      model,
      optimizer: innerOptimizerOf(job),
      schedule: { warmUpSteps: job.inner.warmUpSteps, totalSteps: job.stop.steps, finalShare: job.inner.finalShare },
      batchSize: job.batch,
      clipNorm: job.inner.clipNorm,
      threads,
    },
    parameters,
  );
  return {
    assignment,
    exchange: fragments.map((layout, i): FragmentExchange => {
      const residual = new Float32Array(layout.elements);
      return { layout, base: packed[i]!, residual, pending: residual };
    }),
    trainer,
    batches: batchesOf(stream, job.batch, job.context, job.seed * 1_000_003 + shard.index),
    heldOut: evaluationBatches(heldOutStream, job.batch, job.context, job.evaluation.tokens),
  };
}

/** @throws HelioError HELIO-1003 when a token stream does not fill one context */
export function checkLength(stream: Uint32Array, context: number, what: string): void {
  if (stream.length > context) return;
  throw new HelioError(
    'HELIO-1003',
    `${what} has ${stream.length} tokens, and one context needs ${context + 1}.`,
    'Give more text, fewer islands, or a smaller context.',
  );
}
