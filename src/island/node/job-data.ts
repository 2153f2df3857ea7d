import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import {
  type Batch,
  type BatchSource,
  batchesOf,
  documentBatchesOf,
  documentEvaluationBatches,
  evaluationBatches,
} from '../../ml/data/batches.ts';
import { trainBpe } from '../../ml/data/bpe-training.ts';
import { type Corpus, openDocuments, openFiles, type Passages } from '../../ml/data/corpus.ts';
import {
  applyScaling,
  checkExamples,
  type ExampleSet,
  exampleBatchesOf,
  exampleEvaluationBatches,
  measureScaling,
  type Scaling,
  shardOfRows,
  splitExamples,
} from '../../ml/data/examples.ts';
import { readIdx } from '../../ml/data/idx.ts';
import { layOut, readRows, type TableLayout, toExamples } from '../../ml/data/table.ts';
import { type TokenizedText, tokenize, tokenizePassages } from '../../ml/data/tokenized-text.ts';
import { loadTokenizer, type Tokenizer } from '../../ml/data/tokenizer.ts';
import type { Job } from '../../protocol/run-file.ts';
import type { DataSizes } from '../layout.ts';
import { trustedFiles } from './data-files.ts';

/**
 * How a run's data become numbers: decided once by the coordinator, sent to every island, and kept with the model.
 */
export type Preparation =
  | { readonly kind: 'text'; readonly tokenizerJson: string; readonly endOfText?: string }
  | {
      readonly kind: 'table';
      readonly layout: TableLayout;
      readonly scaling: Scaling;
      readonly shape: readonly number[];
      readonly outputs: number;
    }
  | {
      readonly kind: 'images';
      readonly scaling: Scaling;
      readonly shape: readonly number[];
      readonly outputs: number;
    };

/** What the coordinator knows of its data before the first island comes. */
export interface DataSummary {
  readonly preparation: Preparation;
  readonly sizes: DataSizes;
  /** Tokens or examples to train on, of text estimated from a part of it, and how many are held out at least. */
  readonly training: number;
  readonly heldOut: number;
}

/** What an island trains on and validates with. */
export interface IslandData {
  readonly batches: BatchSource;
  readonly heldOut: readonly Batch[];
}

/** Text from which a tokenizer is trained, at most: evenly spread over the whole. */
const TOKENIZER_BYTES = 64 * 2 ** 20;
/** Text that is tokenized to estimate how much there is. */
const SAMPLE_BYTES = 2 ** 20;

/**
 * Opens the data of a job, and makes the tokenizer or measures the table.
 *
 * @param given the preparation of a run that is resumed, or the tokenizer of a base model
 * @throws HelioError HELIO-1001 when architecture and data do not belong together, HELIO-1003, HELIO-1004
 */
export async function prepareData(job: Job, folder: string, given?: Preparation): Promise<DataSummary> {
  const { data } = job;
  const language = job.model.architecture === 'llama' || job.model.architecture === 'gpt2';
  if (language !== 'paths' in data) {
    throw new HelioError(
      'HELIO-1001',
      `model.architecture ${job.model.architecture} does not fit data that are ${'paths' in data ? 'text' : 'table' in data ? 'a table' : 'images'}.`,
      language ? 'Choose mlp for tables, mlp or cnn for images.' : 'Choose llama or gpt2 for text.',
    );
  }
  if ('paths' in data) return prepareText(job, folder, given);
  if (job.model.architecture === 'cnn' && 'table' in data)
    throw new HelioError('HELIO-1001', 'model.architecture cnn does not fit a table.', 'Choose mlp.');
  return prepareExamples(job, folder, given);
}

async function prepareExamples(job: Job, folder: string, given: Preparation | undefined): Promise<DataSummary> {
  const { set, layout } = await readExamples(job, trustedFiles(job, folder), given);
  const { training, validation } = splitExamples(set.count, job.data.heldOut);
  checkExamples(shardOfRows(training, job.islands - 1, job.islands), `Each of the ${job.islands} shards of the data`);
  checkExamples(validation, 'The held-out part');
  const known = given !== undefined && given.kind !== 'text' ? given : undefined;
  const groups = layout === undefined ? set.shape[0]! : set.shape.reduce((product, d) => product * d, 1);
  const scaling = known?.scaling ?? measureScaling(set, training, groups);
  const outputs = known?.outputs ?? set.outputs;
  const common = { scaling, shape: set.shape, outputs };
  const preparation: Preparation =
    layout === undefined ? { kind: 'images', ...common } : { kind: 'table', layout, ...common };
  return {
    preparation,
    sizes: { kind: 'examples', shape: set.shape, outputs },
    training: training.length,
    heldOut: validation.length,
  };
}

function prepareText(job: Job, folder: string, given: Preparation | undefined): DataSummary {
  const corpus = corpusOf(job, trustedFiles(job, folder));
  const tokenizerJson = given?.kind === 'text' ? given.tokenizerJson : makeTokenizer(job, folder, corpus.training);
  const source = 'path' in job.tokenizer ? job.tokenizer.path : 'the trained tokenizer';
  const tokenizer = loadTokenizer(tokenizerJson, source, given?.kind === 'text' ? given.endOfText : undefined);
  const smallest = corpus.shard(job.islands - 1, job.islands);
  const training = estimateTokens(tokenizer, smallest) * job.islands;
  const heldOut = estimateTokens(tokenizer, corpus.validation);
  checkLength(training / job.islands, job.context, `Each of the ${job.islands} shards of the corpus`);
  checkLength(heldOut, job.context, 'The held-out text');
  return {
    preparation: { kind: 'text', tokenizerJson, endOfText: tokenizer.endOfText },
    sizes: { kind: 'text', vocabularySize: tokenizer.vocabularySize },
    training,
    heldOut,
  };
}

/** Exact for a short text; of a long one the beginning counts for the whole. */
function estimateTokens(tokenizer: Tokenizer, passages: Passages): number {
  let [bytes, tokens] = [0, 0];
  for (const document of passages.documents()) {
    bytes += Buffer.byteLength(document.text) + Buffer.byteLength(document.prompt ?? '');
    tokens += tokenize(tokenizer, [document]).tokens.length - (document.continues === true ? 1 : 0);
    if (bytes > SAMPLE_BYTES) return Math.round((tokens * passages.bytes) / bytes);
  }
  return tokens;
}

function makeTokenizer(job: Job, folder: string, training: Passages): string {
  if (!('path' in job.tokenizer))
    return `${JSON.stringify(trainBpe(spread(training), job.tokenizer.vocabularySize))}\n`;
  const file = path.resolve(folder, job.tokenizer.path);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new HelioError(
      'HELIO-1004',
      `The tokenizer ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      'Correct tokenizer.path; it is relative to the run file.',
      { cause: error },
    );
  }
}

/** Texts of about {@link TOKENIZER_BYTES}, evenly spread. */
function* spread(passages: Passages): Generator<string> {
  const share = Math.min(1, TOKENIZER_BYTES / passages.bytes);
  let due = 0;
  for (const { text, prompt = '' } of passages.documents()) {
    due += share;
    if (due < 1) continue;
    due -= 1;
    yield prompt + text;
  }
}

/**
 * Reads an island's part of the data.
 *
 * @param files what it is read from, as `data-files.ts` found them
 * @param cache where tokens of a text larger than memory are kept
 */
export async function openIslandData(
  job: Job,
  preparation: Preparation,
  shard: { readonly index: number; readonly count: number },
  files: readonly string[],
  cache: string,
  onProgress: (share: number) => void,
): Promise<IslandData> {
  const seed = job.seed * 1_000_003 + shard.index;
  const rows = job.batch / job.inner.microBatches;
  if (preparation.kind !== 'text') {
    const { set } = await readExamples(job, files, preparation);
    applyScaling(set, preparation.scaling);
    const { training, validation } = splitExamples(set.count, job.data.heldOut);
    const mine = shardOfRows(training, shard.index, shard.count);
    checkExamples(mine, `Shard ${shard.index + 1} of ${shard.count} of the data`);
    return {
      batches: exampleBatchesOf(set, mine, rows, seed),
      heldOut: exampleEvaluationBatches(set, validation, rows, job.evaluation.tokens),
    };
  }
  const tokenizer = tokenizerOf(preparation);
  const corpus = corpusOf(job, files);
  const what = `Shard ${shard.index + 1} of ${shard.count} of the corpus`;
  const key = JSON.stringify([
    createHash('sha256').update(preparation.tokenizerJson).digest('hex'),
    corpus.files.map(({ file, bytes }) => [file, bytes, statSync(file).mtimeMs]),
    job.data.heldOut,
    shard,
  ]);
  const options = (part: string) => ({ folder: path.join(cache, part), key, onProgress });
  const training = tokenizePassages(tokenizer, corpus.shard(shard.index, shard.count), options('training'));
  const heldOut = tokenizePassages(tokenizer, corpus.validation, options('validation'));
  checkLength(training.tokens.length, job.context, what);
  checkLength(heldOut.tokens.length, job.context, 'The held-out text');
  const packed = 'packing' in job.data && job.data.packing;
  return {
    batches: packed
      ? batchesOf(training.tokens, rows, job.context, seed)
      : documentBatchesOf(training.tokens, training.documents, rows, job.context, seed),
    heldOut: heldOutBatches(job, heldOut, job.evaluation.tokens),
  };
}

export const tokenizerOf = ({ tokenizerJson, endOfText }: Preparation & { kind: 'text' }): Tokenizer =>
  loadTokenizer(tokenizerJson, "the run's tokenizer", endOfText);

/** Held-out batches of a job's text, packed or by document as it is trained. */
export function heldOutBatches(job: Job, { tokens, documents }: TokenizedText, most: number): readonly Batch[] {
  const rows = job.batch / job.inner.microBatches;
  return 'packing' in job.data && job.data.packing
    ? evaluationBatches(tokens, rows, job.context, most)
    : documentEvaluationBatches(tokens, documents, rows, job.context, most);
}

/** Held-out text of a job, or all of other files. */
export const heldOutOf = (job: Job, folder: string, other: readonly string[] | undefined): Passages =>
  other === undefined ? corpusOf(job, trustedFiles(job, folder)).validation : openDocuments(other, process.cwd());

const corpusOf = ({ data }: Job, files: readonly string[]): Corpus => openFiles(files, data.heldOut);

async function readExamples(
  { data, model }: Job,
  files: readonly string[],
  given: Preparation | undefined,
): Promise<{ readonly set: ExampleSet; readonly layout: TableLayout | undefined }> {
  if ('images' in data) {
    const [images, labels] = files;
    const set = readIdx(images!, labels!);
    if (given?.kind === 'images' && set.outputs > given.outputs) {
      throw new HelioError(
        'HELIO-1003',
        `${labels} has the label ${set.outputs - 1}, and the run knows ${given.outputs} classes, 0 to ${given.outputs - 1}.`,
        "Remove those images, or add some to the coordinator's own.",
      );
    }
    // A perceptron reads an image as a row of numbers.
    const shape = model.architecture === 'mlp' ? [set.shape.reduce((product, d) => product * d, 1)] : set.shape;
    return { set: { ...set, shape }, layout: undefined };
  }
  if (!('table' in data)) throw new TypeError('text is no set of examples');
  const rows = await readRows(files);
  const task = model.task ?? 'classification';
  const layout = given?.kind === 'table' ? given.layout : layOut(rows, data.target, task, files.join(', '));
  return { set: toExamples(rows, layout, files.join(', ')), layout };
}

/** @throws HelioError HELIO-1003 when a token stream does not fill one context */
export function checkLength(tokens: number, context: number, what: string): void {
  if (tokens > context) return;
  throw new HelioError(
    'HELIO-1003',
    `${what} has ${tokens} tokens, and one context needs ${context + 1}.`,
    'Give more text, fewer islands, or a smaller context.',
  );
}
