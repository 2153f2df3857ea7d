import { availableParallelism } from 'node:os';
import path from 'node:path';
import { innerOptimizerOf } from '../../island/layout.ts';
import { checkLength } from '../../island/node/local-trainer.ts';
import { evaluationBatches } from '../../ml/data/batches.ts';
import { readDocuments, splitCorpus } from '../../ml/data/corpus.ts';
import { tokenize } from '../../ml/data/tokenizer.ts';
import { loadModel } from '../../ml/models/hugging-face.ts';
import { Trainer } from '../../ml/training/trainer.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { readRunFile } from '../run-file.ts';
import { findRun } from '../run-folder.ts';

export interface EvalOptions {
  readonly data?: readonly string[];
  readonly tokens?: number;
}

/** Measures a trained model on its run's held-out text, or on other text as a whole. */
export async function evaluate(run: string, options: EvalOptions, context: CommandContext): Promise<number> {
  const folder = findRun(context.runs, run);
  const { model, parameters, tokenizer } = loadModel(folder);
  const { job } = readRunFile(path.join(folder, 'run.yaml'));
  const documents =
    options.data === undefined
      ? splitCorpus(readDocuments(job.data.paths, folder), job.data.heldOut).validation
      : readDocuments(options.data, process.cwd());
  const stream = tokenize(tokenizer, documents);
  checkLength(stream, model.contextLength, 'The text');
  const trainer = await Trainer.create(
    {
      model,
      optimizer: innerOptimizerOf(job),
      schedule: { warmUpSteps: 0, totalSteps: 1, finalShare: 1 },
      batchSize: job.batch,
      clipNorm: job.inner.clipNorm,
      threads: availableParallelism(),
    },
    parameters,
  );
  const { lossSum, tokens } = await trainer.evaluate(
    evaluationBatches(stream, job.batch, model.contextLength, options.tokens ?? job.evaluation.tokens),
  );
  await trainer.release();
  const loss = lossSum / tokens;
  const characters = documents.reduce((sum, d) => sum + d.text.length, 0);
  const bitsPerCharacter = ((loss / Math.LN2) * stream.length) / characters;
  const result = {
    run: folder,
    loss,
    perplexity: Math.exp(loss),
    bitsPerCharacter,
    tokens,
    data: options.data ?? 'held-out text of the run',
  };
  if (context.json) printJson(result);
  else
    print(
      `loss ${loss.toFixed(4)} nats a token · perplexity ${Math.exp(loss).toFixed(2)} · ${bitsPerCharacter.toFixed(3)} bits a character · ${tokens} tokens`,
    );
  return 0;
}
