import { readFileSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { trainBpe } from '../../ml/data/bpe-training.ts';
import { type Corpus, type Document, openFiles, openWhole, type Passages } from '../../ml/data/corpus.ts';
import { filesOf } from '../../ml/data/corpus-files.ts';
import {
  checkExamples,
  type ExampleSet,
  measureScaling,
  measureTargets,
  type Scaling,
  splitExamples,
} from '../../ml/data/examples.ts';
import { readIdx } from '../../ml/data/idx.ts';
import { layOut, readRows, type TableLayout, toExamples } from '../../ml/data/table.ts';
import type { TextFile } from '../../ml/data/text-file.ts';
import { tokenize } from '../../ml/data/tokenized-text.ts';
import type { FilesBeside } from '../../ml/data/tokenizer/special-tokens.ts';
import { loadTokenizer, type Tokenizer, withEndOfText } from '../../ml/data/tokenizer.ts';
import { unpackFiles } from '../../ml/data/unpack.ts';
import { filesBeside } from '../../ml/models/tokenizer-files.ts';
import type { Job } from '../../protocol/run-file.ts';
import type { DataSizes } from '../layout.ts';
import { trustedFiles } from './data-files.ts';
import { stateFolder } from './state-folder.ts';

/**
 * How a run's data become numbers: decided once by the coordinator, sent to every island, and kept with the model.
 */
export type Preparation =
  | {
      readonly kind: 'text';
      readonly tokenizerJson: string;
      /** Files of the tokenizer beside that one, as they are. */
      readonly beside?: FilesBeside;
      readonly endOfText?: string;
    }
  | {
      readonly kind: 'table';
      readonly layout: TableLayout;
      readonly scaling: Scaling;
      readonly shape: readonly number[];
      readonly outputs: number;
      /** Of a regression: what targets are trained as. Saved models predict in the targets' own units. */
      readonly targetScaling?: Scaling;
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
  /** Of text: the first words of what is held out. */
  readonly opening?: string;
}

/** Tokens of a tokenizer that is trained here, where the run file does not say and the text is long enough. */
export const DEFAULT_VOCABULARY = 1024;
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
  const language = job.model.architecture !== 'mlp' && job.model.architecture !== 'cnn';
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
  checkExamples(training, 'The training part');
  checkExamples(validation, 'The held-out part');
  const known = given !== undefined && given.kind !== 'text' ? given : undefined;
  const groups = layout === undefined ? set.shape[0]! : set.shape.reduce((product, d) => product * d, 1);
  const scaling = known?.scaling ?? measureScaling(set, training, groups);
  const outputs = known?.outputs ?? set.outputs;
  const common = { scaling, shape: set.shape, outputs };
  const preparation: Preparation =
    layout === undefined
      ? { kind: 'images', ...common }
      : { kind: 'table', layout, ...common, ...targetScalingOf(set, training, known) };
  return {
    preparation,
    sizes: { kind: 'examples', shape: set.shape, outputs },
    training: training.length,
    heldOut: validation.length,
  };
}

/** Of a regression. A run that was begun without it goes on without it. */
function targetScalingOf(
  set: ExampleSet,
  training: Uint32Array,
  known: Preparation | undefined,
): { readonly targetScaling?: Scaling } {
  if (set.targets instanceof BigInt64Array) return {};
  if (known === undefined) return { targetScaling: measureTargets(set, training) };
  return known.kind === 'table' && known.targetScaling !== undefined ? { targetScaling: known.targetScaling } : {};
}

async function prepareText(job: Job, folder: string, given: Preparation | undefined): Promise<DataSummary> {
  const corpus = await corpusOf(job, trustedFiles(job, folder));
  const preparation = given?.kind === 'text' ? given : makeTokenizer(job, folder, corpus.training);
  const tokenizer = tokenizerOf(preparation);
  const training = estimateTokens(tokenizer, corpus.training);
  const heldOut = estimateTokens(tokenizer, corpus.validation);
  checkText(training, job, 'The training text');
  checkText(heldOut, job, 'The held-out text');
  return {
    preparation: { ...preparation, endOfText: tokenizer.endOfText },
    sizes: { kind: 'text', vocabularySize: tokenizer.vocabularySize },
    training,
    heldOut,
    ...openingOf(corpus.validation),
  };
}

/** A model that has never seen how they go on may try. */
function openingOf(heldOut: Passages): { readonly opening?: string } {
  for (const { text, prompt } of heldOut.documents()) {
    const words = (prompt ?? text).trim().split(/\s+/u).slice(0, OPENING_WORDS).join(' ');
    // As a text whose language has no spaces would be long, and half of a character none.
    const opening = [...words].slice(0, OPENING_CHARACTERS).join('');
    if (opening !== '') return { opening };
  }
  return {};
}
const OPENING_WORDS = 4;
const OPENING_CHARACTERS = 60;

/** Exact for a short text; of a long one the beginning counts for the whole. */
function estimateTokens(tokenizer: Tokenizer, passages: Passages): number {
  const sample: Document[] = [];
  let bytes = 0;
  for (const document of passages.documents()) {
    sample.push(document);
    bytes += Buffer.byteLength(document.text) + Buffer.byteLength(document.prompt ?? '');
    if (bytes > SAMPLE_BYTES) break;
  }
  const { length } = tokenize(tokenizer, sample).tokens;
  return bytes > SAMPLE_BYTES ? Math.round((length * passages.bytes) / bytes) : length;
}

function makeTokenizer(job: Job, folder: string, training: Passages): TextPreparation {
  if (!('path' in job.tokenizer)) {
    const { vocabularySize } = job.tokenizer;
    const trained = trainBpe(
      spread(training),
      vocabularySize ?? DEFAULT_VOCABULARY,
      vocabularySize === undefined ? 'fewer' : 'refuse',
    );
    return { kind: 'text', tokenizerJson: `${JSON.stringify(trained)}\n` };
  }
  const file = path.resolve(folder, job.tokenizer.path);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new HelioError(
      'HELIO-1004',
      `The tokenizer ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      'Correct tokenizer.path; it is relative to the run file.',
      { cause: error },
    );
  }
  const { 'generation_config.json': _, ...beside } = filesBeside(file);
  return { kind: 'text', tokenizerJson: withEndOfText(text, job.tokenizer.path, beside), beside };
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

type TextPreparation = Preparation & { readonly kind: 'text' };

export const tokenizerOf = ({ tokenizerJson, beside, endOfText }: TextPreparation): Tokenizer =>
  loadTokenizer(tokenizerJson, "the run's tokenizer", {
    ...(beside === undefined ? {} : { beside }),
    ...(endOfText === undefined ? {} : { endOfText }),
  });

/** Held-out text of a job, or all of other files. */
export const heldOutOf = async (job: Job, folder: string, other: readonly string[] | undefined): Promise<Passages> =>
  other === undefined
    ? (await corpusOf(job, trustedFiles(job, folder))).validation
    : wholeOf(
        job,
        other.flatMap((named) => filesOf(named, process.cwd())),
      );

export const corpusOf = async ({ data }: Job, files: readonly string[]): Promise<Corpus> =>
  openFiles(await unpacked(data, files), data.heldOut, fieldOf(data));

/** All of an owner's text, which has the fields that the run's has. */
export const wholeOf = async ({ data }: Job, files: readonly string[]): Promise<Passages> =>
  openWhole(await unpacked(data, files), fieldOf(data));

const unpacked = (data: Job['data'], files: readonly string[]): Promise<readonly TextFile[]> =>
  unpackFiles(files, { folder: path.join(stateFolder(process.env), 'unpacked'), field: fieldOf(data) });

const fieldOf = (data: Job['data']): string | undefined => ('paths' in data ? data.field : undefined);

/** @param files of images the images, then their labels */
export async function readExamples(
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

/** Whether a job's documents are laid end to end. */
export const isPacked = ({ data }: Job): boolean => 'packing' in data && data.packing;

/** Tokens that a batch can be drawn from: packed, a window of the context and the token after it; otherwise a document of one and its end. */
export const tokensNeeded = (job: Job): number => (isPacked(job) ? job.context + 1 : 2);

/** @throws HelioError HELIO-1003 when a text does not fill a row of a batch */
export function checkText(tokens: number, job: Job, what: string): void {
  if (tokens >= tokensNeeded(job)) return;
  throw new HelioError(
    'HELIO-1003',
    `${what} has ${tokens} tokens, and ${isPacked(job) ? `one context needs ${tokensNeeded(job)}` : 'a document needs 2'}.`,
    isPacked(job) ? 'Give more text, a smaller context, or packing: false.' : 'Give more text.',
  );
}
