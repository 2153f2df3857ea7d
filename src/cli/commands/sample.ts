import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { nodeRuntime } from '../../ml/engine/node-runtime.ts';
import { Generator, generateText } from '../../ml/training/generate.ts';
import { type CommandContext, printJson } from '../context.ts';
import { readRunFile } from '../run-file.ts';
import { plain } from '../terminal-text.ts';
import { loadLanguageModel } from '../trained-model.ts';

export interface SampleCommandOptions {
  /** Left out: what the run's report lets it continue. */
  readonly prompt?: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed: number;
}

/** Lets a trained model continue a prompt, and prints the text as it comes. */
export async function sample(run: string, options: SampleCommandOptions, context: CommandContext): Promise<number> {
  const { folder, model, parameters, tokenizer } = loadLanguageModel(context.runs, run);
  const threads = availableParallelism();
  const generator = await Generator.create(nodeRuntime(), model, parameters, threads);
  const prompt = options.prompt ?? promptOf(folder);
  let text = prompt;
  const write = (piece: string): void => {
    // A model writes what it was taught, and who taught it what is not known.
    if (!context.json) process.stdout.write(plain(piece));
  };
  write(prompt);
  for await (const piece of generateText(generator, tokenizer, { ...options, prompt, threads })) {
    text += piece;
    write(piece);
  }
  write('\n');
  await generator.release();
  if (context.json) printJson({ run: folder, ...options, prompt, text });
  return 0;
}

/** Of a folder that is no run of ours nobody knows what it is about. */
const promptOf = (folder: string): string => {
  const file = path.join(folder, 'run.yaml');
  return (existsSync(file) ? readRunFile(file).job.sample.prompt : undefined) ?? 'The';
};
