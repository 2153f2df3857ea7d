import { availableParallelism } from 'node:os';
import { loadModel } from '../../ml/models/hugging-face.ts';
import { generate } from '../../ml/training/generate.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { findRun } from '../run-folder.ts';

export interface SampleCommandOptions {
  readonly prompt: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly seed: number;
}

/** Lets a trained model continue a prompt. */
export async function sample(run: string, options: SampleCommandOptions, context: CommandContext): Promise<number> {
  const folder = findRun(context.runs, run);
  const { model, parameters, tokenizer } = loadModel(folder);
  const text = await generate(model, parameters, tokenizer, { ...options, threads: availableParallelism() });
  if (context.json) printJson({ run: folder, ...options, text });
  else print(text);
  return 0;
}
