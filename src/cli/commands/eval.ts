import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { trainingOf } from '../../island/layout.ts';
import { trustedFiles } from '../../island/node/data-files.ts';
import { heldOutBatches, openIslandData } from '../../island/node/island-data.ts';
import { checkText, heldOutOf, type Preparation } from '../../island/node/job-data.ts';
import { stateFolder } from '../../island/node/state-folder.ts';
import type { BatchList } from '../../ml/data/batches.ts';
import type { Document } from '../../ml/data/corpus.ts';
import { tokenizePassages } from '../../ml/data/tokenized-text.ts';
import { nodeRuntime } from '../../ml/engine/node-runtime.ts';
import { openWeights } from '../../ml/models/hugging-face.ts';
import { isLanguage, isRegression } from '../../ml/models/model.ts';
import { loadFolderTokenizer } from '../../ml/models/tokenizer-files.ts';
import { Trainer } from '../../ml/training/trainer.ts';
import type { Job } from '../../protocol/run-file.ts';
import { type CommandContext, ENDING, print, printJson } from '../context.ts';
import { integer } from '../live/format.ts';
import { readRunFile } from '../run-file.ts';
import { findRun } from '../run-folder.ts';
import { scratchFolder } from '../scratch-folder.ts';
import { asUsed, requireWeights } from '../trained-model.ts';

export interface EvalOptions {
  readonly data?: readonly string[];
  readonly tokens?: number;
}

/** Held-out batches, and of text its tokens and characters for a figure that does not depend on the tokenizer. */
interface HeldOut {
  readonly batches: BatchList;
  readonly tokensPerCharacter: number | null;
}

/** Measures a trained model on its run's held-out data, or on other text as a whole. */
export async function evaluate(run: string, options: EvalOptions, context: CommandContext): Promise<number> {
  const folder = findRun(context.runs, run);
  requireWeights(folder);
  const { model: saved, parameters, close } = openWeights(folder);
  const model = asUsed(folder, saved);
  const { job: read } = readRunFile(path.join(folder, 'run.yaml'));
  const job = { ...read, evaluation: { ...read.evaluation, tokens: options.tokens ?? read.evaluation.tokens } };
  const heldOut = isLanguage(model)
    ? await heldOutText(job, folder, options.data, model.contextLength)
    : await heldOutExamples(job, folder, options.data);
  const { batches, tokensPerCharacter } = heldOut;
  // Tokenizing, which holds whoever else would be called, is over: from here on a request to end is heard, and ends in good order.
  for (const signal of ENDING) process.once(signal, () => process.exit(130));
  const trainer = await Trainer.create(
    { ...trainingOf(job, model), runtime: nodeRuntime(), threads: availableParallelism() },
    parameters,
  );
  close();
  const { lossSum, tokens, correct } = await trainer.evaluate(batches);
  await trainer.release();
  const loss = lossSum / tokens;
  const r2 = isRegression(model) ? 1 - loss / varianceOf(batches) : null;
  const result = {
    run: folder,
    loss,
    ...(tokensPerCharacter === null
      ? {}
      : { perplexity: Math.exp(loss), bitsPerCharacter: (loss / Math.LN2) * tokensPerCharacter }),
    ...(r2 === null ? {} : { r2 }),
    ...(correct === undefined ? {} : { accuracy: correct / tokens }),
    tokens,
    data: options.data ?? 'held-out data of the run',
  };
  if (context.json) printJson(result);
  else if (tokensPerCharacter !== null)
    print(
      `loss ${loss.toFixed(4)} nats a token · perplexity ${Math.exp(loss).toFixed(2)} · ${((loss / Math.LN2) * tokensPerCharacter).toFixed(3)} bits a character · ${integer(tokens)} tokens`,
    );
  else if (r2 !== null)
    print(
      `mean squared error ${loss.toPrecision(6)} in the target's units · R² ${r2.toFixed(4)} · ${integer(tokens)} examples`,
    );
  else
    print(
      `loss ${loss.toFixed(4)} nats an example · ${((100 * (correct ?? 0)) / tokens).toFixed(2)} % right · ${integer(tokens)} examples`,
    );
  return 0;
}

/** Of the targets, averaged over the outputs: what predicting each one's mean would be wrong by. */
function varianceOf(list: BatchList): number {
  const batches = [...list];
  const outputs = batches[0]!.targetShape[1] ?? 1;
  const columns = Array.from({ length: outputs }, (_, j) =>
    batches.flatMap(({ targets, count }) =>
      Array.from({ length: count }, (_, row) => Number(targets[row * outputs + j])),
    ),
  );
  const average = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
  return average(
    columns.map((column) => {
      const mean = average(column);
      return average(column.map((x) => (x - mean) ** 2));
    }),
  );
}

/** A long text is tokenized into files beside what else Heliotrope keeps, and never in memory as a whole. */
async function heldOutText(
  job: Job,
  folder: string,
  data: readonly string[] | undefined,
  context: number,
): Promise<HeldOut> {
  const passages = await heldOutOf(job, folder, data);
  let characters = 0;
  const counted = function* (): Generator<Document> {
    for (const document of passages.documents()) {
      characters += document.text.length + (document.prompt?.length ?? 0);
      yield document;
    }
  };
  const scratch = scratchFolder(stateFolder(process.env), 'eval');
  const { tokenizer } = loadFolderTokenizer(folder);
  const text = tokenizePassages(tokenizer, { ...passages, documents: counted }, { folder: scratch, key: 'eval' });
  const asked = { ...job, context };
  checkText(text.tokens.length, asked, 'The text');
  const batches = heldOutBatches(asked, text, job.evaluation.tokens);
  return { batches, tokensPerCharacter: text.tokens.length / characters };
}

async function heldOutExamples(job: Job, folder: string, data: readonly string[] | undefined): Promise<HeldOut> {
  if (data !== undefined)
    throw new HelioError(
      'HELIO-1006',
      '--data is for text.',
      'Leave it out: the held-out rows of the run are measured.',
    );
  // The saved model predicts in the targets' own units, and is measured in them.
  const file = path.join(folder, 'preparation.json');
  if (!existsSync(file))
    throw new HelioError('HELIO-3001', `${folder} has no preparation.json.`, 'Restore the folder from a copy.');
  const { targetScaling: _, ...preparation } = JSON.parse(readFileSync(file, 'utf8')) as Preparation & {
    readonly kind: 'table';
  };
  const run = trustedFiles(job, folder);
  const files = { training: run, own: false, run };
  const { heldOut } = await openIslandData(job, preparation, { index: 0, count: 1 }, files, job.seed, folder, () => {});
  return { batches: heldOut, tokensPerCharacter: null };
}
