import { availableParallelism } from 'node:os';
import { nodeRuntime } from '../../ml/engine/node-runtime.ts';
import { Generator, generateText } from '../../ml/training/generate.ts';
import { type CommandContext, printJson } from '../context.ts';
import { plain } from '../terminal-text.ts';
import { loadLanguageModel } from '../trained-model.ts';

export interface SampleCommandOptions {
  readonly prompt: string;
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
  let text = options.prompt;
  const write = (piece: string): void => {
    // A model writes what it was taught, and who taught it what is not known.
    if (!context.json) process.stdout.write(plain(piece));
  };
  write(options.prompt);
  for await (const piece of generateText(generator, tokenizer, { ...options, threads })) {
    text += piece;
    write(piece);
  }
  write('\n');
  await generator.release();
  if (context.json) printJson({ run: folder, ...options, text });
  return 0;
}
