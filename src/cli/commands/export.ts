import { existsSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { writePieces } from '../../files.ts';
import { loadAdapter, saveAdapter } from '../../ml/models/adapter.ts';
import { encodeGguf, type GgufType } from '../../ml/models/gguf.ts';
import { ggufDifferences } from '../../ml/models/gguf-tokenizer.ts';
import { openWeights, saveWeights } from '../../ml/models/hugging-face.ts';
import { isLanguage } from '../../ml/models/model.ts';
import { saveOnnx } from '../../ml/models/onnx-file.ts';
import { saveTokenizer, tokenIdsOf } from '../../ml/models/tokenizer-files.ts';
import type { ParameterArrays } from '../../ml/tensor/parameters.ts';
import { outputsGraph } from '../../ml/training/training-graph.ts';
import { type CommandContext, print, printJson, tell } from '../context.ts';
import { readRunFile } from '../run-file.ts';
import { findRun } from '../run-folder.ts';
import { asUsed, openLanguageModel, requireWeights, type TrainedLanguageModel } from '../trained-model.ts';

export const EXPORT_FORMATS = ['transformers', 'onnx', 'gguf', 'peft'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly type: GgufType;
  readonly out?: string;
}

/** Writes a trained model in the layout of another program. */
export async function exportModel(run: string, options: ExportOptions, context: CommandContext): Promise<number> {
  const out = write(run, options, context.runs);
  if (context.json) printJson({ run, format: options.format, out });
  else {
    const shown = shownPlace(out, options.out);
    print(`${shown}   ${USE[options.format](shown)}`);
  }
  return 0;
}

/** As it was named; where nobody named it, without the way to this folder. */
export const shownPlace = (out: string, named: string | undefined): string => named ?? (path.relative('', out) || '.');

/** How what was written is used, in one line. */
const USE: Readonly<Record<ExportFormat, (out: string) => string>> = {
  transformers: (out) => `AutoModelForCausalLM.from_pretrained(${JSON.stringify(out)})`,
  onnx: (out) => `onnxruntime.InferenceSession(${JSON.stringify(out)})`,
  gguf: (out) => `llama-cli -m ${out}`,
  peft: (out) => `PeftModel.from_pretrained(base, ${JSON.stringify(out)})`,
};

/** @returns where it is now */
function write(run: string, { format, type, out }: ExportOptions, runs: string): string {
  switch (format) {
    case 'onnx':
      return writeOnnx(findRun(runs, run), out);
    case 'transformers':
      return withOpened(runs, run, (trained) => writeTransformers(trained, out));
    case 'gguf':
      return withOpened(runs, run, (trained) => writeGguf(trained, type, out));
    case 'peft':
      return writePeft(findRun(runs, run), runs, out);
  }
}

/** With a model of which no more is in memory than what is being written. */
function withOpened(runs: string, run: string, work: (trained: TrainedLanguageModel) => string): string {
  const trained = openLanguageModel(runs, run);
  try {
    return work(trained);
  } finally {
    trained.close();
  }
}

function writeOnnx(folder: string, out: string | undefined): string {
  requireWeights(folder);
  const opened = openWeights(folder);
  try {
    const model = asUsed(folder, opened.model);
    const file = path.resolve(out ?? path.join(folder, 'model.onnx'));
    const names = isLanguage(model) ? ONNX_NAMES : undefined;
    saveOnnx(file, outputsGraph(model, 1, names), path.basename(folder), opened.parameters);
    return file;
  } finally {
    opened.close();
  }
}

/** What other programs call a language model's input and output. */
const ONNX_NAMES = { input: 'input_ids', outputs: 'logits' };

function writeTransformers(trained: TrainedLanguageModel, out: string | undefined): string {
  const folder = path.resolve(out ?? path.join(trained.folder, 'transformers'));
  saveWeights(folder, trained, tokenIdsOf(trained.tokenizer));
  saveTokenizer(folder, trained.model, trained);
  return folder;
}

function writeGguf(trained: TrainedLanguageModel, type: GgufType, out?: string): string {
  const { folder, model, parameters } = trained;
  const name = path.basename(folder);
  const file = path.resolve(out ?? path.join(folder, `${name}-${type}.gguf`));
  writePieces(file, encodeGguf(model, parameters, trained, name, type));
  for (const difference of ggufDifferences(trained)) tell(difference);
  return file;
}

/** The adapters of a run that trained some, for the base that it names. */
function writePeft(folder: string, runs: string, out: string | undefined): string {
  const adapter = path.join(folder, 'adapter');
  if (!existsSync(path.join(adapter, 'adapter_config.json'))) {
    throw new HelioError(
      'HELIO-1006',
      `${folder} has no adapters: it did not train with model.lora.`,
      'Export the whole model with --format transformers.',
    );
  }
  const { job } = readRunFile(path.join(folder, 'run.yaml'));
  const base = path.resolve(folder, job.model.base!);
  const { model, close } = openLanguageModel(runs, base);
  close();
  const loaded = loadAdapter(adapter, model);
  const target = path.resolve(out ?? adapter);
  saveAdapter(target, loaded.model, loaded.parameters as ParameterArrays, base);
  return target;
}
