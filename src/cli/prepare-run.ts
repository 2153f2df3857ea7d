import { readFileSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { fragmentsOf, modelOf } from '../island/layout.ts';
import { checkLength } from '../island/node/local-trainer.ts';
import { trainBpe } from '../ml/data/bpe-training.ts';
import { readDocuments, shardOf, splitCorpus } from '../ml/data/corpus.ts';
import { loadTokenizer, type Tokenizer, tokenize } from '../ml/data/tokenizer.ts';
import { checkGpt2, type Gpt2Config, gpt2Parameters } from '../ml/models/gpt2.ts';
import { countParameters, initializeParameters, type ParameterArrays } from '../ml/tensor/parameters.ts';
import type { Fragment } from '../outer/fragments.ts';
import type { Job } from '../protocol/run-file.ts';

/** Everything of a run that is settled before the first island comes. */
export interface PreparedRun {
  readonly job: Job;
  readonly dataFolder: string;
  readonly model: Gpt2Config;
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: string;
  readonly fragments: readonly Fragment[];
  readonly parameterCount: number;
  /** Tokens in the training text, estimated from one shard, and in the held-out text. */
  readonly trainingTokens: number;
  readonly heldOutTokens: number;
}

/**
 * Reads the corpus, trains or loads the tokenizer and checks that all sizes fit, so that every mistake in a run
 * file shows here and not in an island.
 *
 * @param tokenizerJson the tokenizer of a run that is resumed
 */
export function prepareRun(job: Job, dataFolder: string, tokenizerJson?: string): PreparedRun {
  checkOuter(job);
  checkGpt2({ ...job.model, contextLength: job.context, vocabularySize: 0 });
  const corpus = splitCorpus(readDocuments(job.data.paths, dataFolder), job.data.heldOut);
  const json =
    tokenizerJson ??
    makeTokenizer(
      job,
      dataFolder,
      corpus.training.map((d) => d.text),
    );
  const tokenizer = loadTokenizer(json, 'path' in job.tokenizer ? job.tokenizer.path : 'the trained tokenizer');
  const model = modelOf(job, tokenizer.vocabularySize);
  const smallest = tokenize(tokenizer, shardOf(corpus.training, job.islands - 1, job.islands));
  checkLength(smallest, job.context, `Each of the ${job.islands} shards of the corpus`);
  const heldOut = tokenize(tokenizer, corpus.validation);
  checkLength(heldOut, job.context, 'The held-out text');
  return {
    job,
    dataFolder,
    model,
    tokenizer,
    tokenizerJson: json,
    fragments: fragmentsOf(model, job.outer.fragments),
    parameterCount: countParameters(gpt2Parameters(model)),
    trainingTokens: smallest.length * job.islands,
    heldOutTokens: heldOut.length,
  };
}

/**
 * Refuses outer settings that contradict each other: none is silently changed.
 *
 * @throws HelioError HELIO-1001
 */
function checkOuter({ outer, islands }: Job): void {
  const { quorum, overlapSteps, innerSteps, localShare } = outer;
  const refuse = (what: string, remedy: string): never => {
    throw new HelioError('HELIO-1001', what, remedy);
  };
  if (quorum !== 'all' && quorum > islands) {
    refuse(
      `outer.quorum ${quorum} is more than the ${islands} islands of the run.`,
      `Choose at most ${islands}, or all.`,
    );
  }
  if (overlapSteps >= innerSteps) {
    refuse(
      `outer.overlapSteps ${overlapSteps} is no less than outer.innerSteps ${innerSteps}: merges would overtake each other.`,
      `Choose at most ${innerSteps - 1}.`,
    );
  }
  if (localShare > 0 && overlapSteps === 0) {
    refuse(
      `outer.localShare ${localShare} mixes in what an island trained during a merge, and outer.overlapSteps is 0.`,
      'Set outer.overlapSteps, or outer.localShare to 0.',
    );
  }
}

export const initialParameters = ({ model, job }: PreparedRun): ParameterArrays =>
  initializeParameters(gpt2Parameters(model), job.seed);

function makeTokenizer(job: Job, folder: string, texts: readonly string[]): string {
  if (!('path' in job.tokenizer)) return `${JSON.stringify(trainBpe(texts, job.tokenizer.vocabularySize))}\n`;
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
