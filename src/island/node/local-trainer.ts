import { HelioError } from '../../errors.ts';
import { type Batch, type BatchSource, batchesOf, evaluationBatches } from '../../ml/data/batches.ts';
import { readDocuments, shardOf, splitCorpus } from '../../ml/data/corpus.ts';
import { loadTokenizer, tokenize } from '../../ml/data/tokenizer.ts';
import { type StepResult, Trainer } from '../../ml/training/trainer.ts';
import { type Fragment, pack, unpack } from '../../outer/fragments.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import { fragmentsOf, innerOptimizerOf, modelOf } from '../layout.ts';
import type { Assignment, IslandTrainer } from '../trainer-face.ts';
import { loadIslandCheckpoint, saveIslandCheckpoint } from './island-checkpoint.ts';

/** Trains in this thread: reads the shard, drives the engine, keeps checkpoints as files. */
export class LocalTrainer implements IslandTrainer {
  #work:
    | {
        assignment: Assignment;
        fragments: readonly Fragment[];
        trainer: Trainer;
        batches: BatchSource;
        heldOut: readonly Batch[];
      }
    | undefined;

  async prepare(assignment: Assignment, fragments: readonly Float32Array[]): Promise<void> {
    if (this.#work === undefined) this.#work = await prepareWork(assignment, fragments);
    else {
      const { trainer, fragments: layout } = this.#work;
      layout.forEach((fragment, i) => {
        trainer.write(unpack(fragment, fragments[i]!));
      });
    }
  }

  async step(): Promise<StepResult> {
    const { trainer, batches } = this.#ready();
    return trainer.step(batches(trainer.steps));
  }

  async read(fragment: number): Promise<Float32Array> {
    const { trainer, fragments } = this.#ready();
    const layout = fragments[fragment]!;
    return pack(layout, trainer.read(layout.tensors.map((t) => t.name)));
  }

  async write(fragment: number, parameters: Float32Array, runStep: number): Promise<void> {
    const { trainer, fragments, assignment } = this.#ready();
    trainer.write(unpack(fragments[fragment]!, parameters), assignment.job.outer.localShare);
    trainer.skipTo(runStep);
  }

  async evaluate(part: number, of: number): Promise<{ lossSum: number; tokens: number }> {
    const { trainer, heldOut } = this.#ready();
    return trainer.evaluate(heldOut.filter((_, i) => i % of === part));
  }

  async save(checkpoint: string, clocks: readonly FragmentClock[]): Promise<void> {
    const { trainer, assignment } = this.#ready();
    saveIslandCheckpoint(assignment.stateFolder, { run: assignment.run, checkpoint, trainer: trainer.save(), clocks });
  }

  async restore(checkpoint: string | null, versions: readonly number[]): Promise<readonly FragmentClock[] | null> {
    const { trainer, assignment } = this.#ready();
    // After a reconnection the trainer's own moments are newer than any file.
    if (trainer.steps > 0) return null;
    const saved =
      loadIslandCheckpoint(assignment.stateFolder, assignment.run, checkpoint) ??
      loadIslandCheckpoint(assignment.stateFolder, assignment.run, null);
    if (saved === undefined) return null;
    const unmoved = saved.clocks.length === versions.length && saved.clocks.every((c, i) => c.version === versions[i]);
    trainer.load(unmoved ? saved.trainer : { ...saved.trainer, parameters: new Map() });
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
    fragments,
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
