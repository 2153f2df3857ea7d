import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import {
  type BatchList,
  type BatchSource,
  batchesOf,
  documentBatchesOf,
  documentEvaluationBatches,
  evaluationBatches,
} from '../../ml/data/batches.ts';
import type { Passages } from '../../ml/data/corpus.ts';
import {
  applyScaling,
  applyTargetScaling,
  checkExamples,
  exampleBatchesOf,
  exampleEvaluationBatches,
  shardOfRows,
  splitExamples,
} from '../../ml/data/examples.ts';
import { type TokenizedText, tokenizePassages } from '../../ml/data/tokenized-text.ts';
import type { Job } from '../../protocol/run-file.ts';
import type { IslandFiles } from './data-files.ts';
import {
  checkText,
  corpusOf,
  isPacked,
  type Preparation,
  readExamples,
  tokenizerOf,
  tokensNeeded,
  wholeOf,
} from './job-data.ts';

/** What an island trains on and validates with. */
export interface IslandData {
  readonly batches: BatchSource;
  /** Of the run's held-out data; none where the island does not validate. */
  readonly heldOut: BatchList;
}

/**
 * What an island draws its batches and its dropout masks by: its own, also where several have one shard, and the same whenever it comes back.
 */
export const seedOf = ({ seed }: Job, island: string): number =>
  createHash('sha256').update(`${seed} ${island}`).digest().readUInt32LE();

export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Another one where the same text and tokenizer give other tokens than they did before. */
const TOKENS_VERSION = 2;

/**
 * Reads an island's part of the data: its shard of the run's training data, or all of its owner's. A shard in which there is not enough to train on
 * (fewer lines than islands, a line longer than a shard) is the whole of the training data, in an order of its own.
 *
 * @param seed of its order, as {@link seedOf} has it
 * @param cache where tokens of a text larger than memory are kept
 */
export async function openIslandData(
  job: Job,
  preparation: Preparation,
  shard: Shard,
  files: IslandFiles,
  seed: number,
  cache: string,
  onProgress: (share: number) => void,
): Promise<IslandData> {
  return preparation.kind === 'text'
    ? openText(job, preparation, shard, files, seed, cache, onProgress)
    : openExamples(job, preparation, shard, files, seed);
}

async function openExamples(
  job: Job,
  preparation: Preparation & { readonly kind: 'table' | 'images' },
  shard: Shard,
  files: IslandFiles,
  seed: number,
): Promise<IslandData> {
  const rows = rowsOf(job);
  const read = async (some: readonly string[]) => {
    const { set } = await readExamples(job, some, preparation);
    applyScaling(set, preparation.scaling);
    if (preparation.kind === 'table' && preparation.targetScaling !== undefined)
      applyTargetScaling(set, preparation.targetScaling);
    return set;
  };
  const set = await read(files.training);
  const run = files.run === null ? undefined : files.own ? await read(files.run) : set;
  const validates = run !== undefined;
  const heldOut = validates
    ? exampleEvaluationBatches(run, splitExamples(run.count, job.data.heldOut).validation, rows, job.evaluation.tokens)
    : [];
  const { training } = splitExamples(set.count, files.own ? 0 : job.data.heldOut);
  const part = files.own ? training : shardOfRows(training, shard.index, shard.count);
  const mine = part.length > 0 ? part : training;
  checkExamples(mine, 'The training part of the data');
  return { batches: exampleBatchesOf(set, mine, rows, seed), heldOut };
}

async function openText(
  job: Job,
  preparation: Preparation & { readonly kind: 'text' },
  shard: Shard,
  files: IslandFiles,
  seed: number,
  cache: string,
  onProgress: (share: number) => void,
): Promise<IslandData> {
  const tokenizer = tokenizerOf(preparation);
  const { context } = job;
  const packed = isPacked(job);
  const tokensOf = (passages: Passages, part: string, of: unknown): TokenizedText => {
    const key = JSON.stringify([
      TOKENS_VERSION,
      createHash('sha256').update(JSON.stringify(preparation)).digest('hex'),
      'paths' in job.data ? (job.data.field ?? null) : null,
      passages.files.map(({ file, bytes }) => [file, bytes, statSync(file).mtimeMs]),
      of,
    ]);
    return tokenizePassages(tokenizer, passages, { folder: path.join(cache, part), key, onProgress });
  };
  const run = files.run === null ? undefined : await corpusOf(job, files.run);
  const shared = files.own ? undefined : run;
  let training =
    shared === undefined
      ? tokensOf(await wholeOf(job, files.training), 'training', 'own')
      : tokensOf(shared.shard(shard.index, shard.count), 'training', [job.data.heldOut, shard]);
  if (shared !== undefined && training.tokens.length < tokensNeeded(job))
    training = tokensOf(shared.training, 'whole', job.data.heldOut);
  checkText(training.tokens.length, job, files.own ? 'The text of --data' : 'The training text');
  const batches = packed
    ? batchesOf(training.tokens, rowsOf(job), context, seed)
    : documentBatchesOf(training.tokens, training.documents, rowsOf(job), context, seed);
  if (run === undefined) return { batches, heldOut: [] };
  const heldOut = tokensOf(run.validation, 'validation', job.data.heldOut);
  checkText(heldOut.tokens.length, job, 'The held-out text');
  return { batches, heldOut: heldOutBatches(job, heldOut, job.evaluation.tokens) };
}

/** Held-out batches of a job's text, packed or by document as it is trained. */
export function heldOutBatches(job: Job, { tokens, documents }: TokenizedText, most: number): BatchList {
  return isPacked(job)
    ? evaluationBatches(tokens, rowsOf(job), job.context, most)
    : documentEvaluationBatches(tokens, documents, rowsOf(job), job.context, most);
}

const rowsOf = ({ batch, inner }: Job): number => batch / inner.microBatches;
