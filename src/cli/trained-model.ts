import { existsSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { mergeAdapters, saveAdapter } from '../ml/models/adapter.ts';
import { type OpenedModel, openWeights, type SavedModel, saveWeights, withoutLora } from '../ml/models/hugging-face.ts';
import { isLanguage, type LanguageConfig, type ModelConfig, withContext } from '../ml/models/model.ts';
import { inOwnUnits } from '../ml/models/own-units.ts';
import { type FolderTokenizer, loadFolderTokenizer, saveTokenizer, tokenIdsOf } from '../ml/models/tokenizer-files.ts';
import type { ParameterArrays } from '../ml/tensor/parameters.ts';
import type { PreparedRun } from './prepare-run.ts';
import { readRunFile } from './run-file.ts';
import { findRun, resumeCommand } from './run-folder.ts';
import { isHosted } from './run-lock.ts';

/** Writes how data become numbers: for text in Hugging Face layout, for other data as they are sent to islands. */
export function savePreparation(folder: string, { model, preparation, tokenizer }: PreparedRun): void {
  if (preparation.kind !== 'text')
    writeWhole(path.join(folder, 'preparation.json'), `${JSON.stringify(preparation, null, 2)}\n`);
  else if (isLanguage(model) && tokenizer !== undefined)
    saveTokenizer(folder, model, { beside: {}, ...preparation, tokenizer });
}

/**
 * Writes what a run trained: the whole model in Hugging Face layout, with adapters folded in and predictions in the targets' own units, and the
 * adapters beside it in PEFT's.
 */
export function saveTrained(folder: string, prepared: PreparedRun, parameters: ParameterArrays): void {
  const { model, tokenizer, job, preparation } = prepared;
  const whole = {
    model: withoutLora(model),
    parameters:
      preparation.kind === 'table' && preparation.targetScaling !== undefined && model.architecture === 'mlp'
        ? inOwnUnits(model, parameters, preparation.targetScaling)
        : mergeAdapters(model, parameters),
  };
  saveWeights(folder, whole, tokenizer === undefined ? undefined : tokenIdsOf(tokenizer));
  if (isLanguage(model) && model.lora !== undefined)
    saveAdapter(path.join(folder, 'adapter'), model, parameters, job.model.base ?? '');
}

/** A language model of a run or a folder in Hugging Face layout, and its tokenizer. */
export interface TrainedLanguageModel extends SavedModel, FolderTokenizer {
  readonly folder: string;
  readonly model: LanguageConfig;
}

/** @throws HelioError HELIO-1005 when there is no such run, HELIO-1006 when it is no language model */
export function loadLanguageModel(runs: string, run: string): TrainedLanguageModel {
  const { parameters, close, ...trained } = openLanguageModel(runs, run);
  try {
    return { ...trained, parameters: new Map(parameters) };
  } finally {
    close();
  }
}

/** The same, and each tensor is read when it is asked for. @throws HelioError as {@link loadLanguageModel} */
export function openLanguageModel(runs: string, run: string): TrainedLanguageModel & OpenedModel {
  const folder = findRun(runs, run);
  requireWeights(folder);
  const { model, parameters, close } = openWeights(folder);
  try {
    if (isLanguage(model))
      return { folder, model: asUsed(folder, model), parameters, close, ...loadFolderTokenizer(folder) };
    throw new HelioError(
      'HELIO-1006',
      `${folder} is a ${model.architecture}, which writes no text.`,
      'Name a run that trained a language model.',
    );
  } catch (error) {
    close();
    throw error;
  }
}

/** Positions of a foreign model that are used: whoever reads text with it pays for all of them. */
const FOREIGN_CONTEXT = 1024;

/** A language model at the context that its run trained it at, which may be shorter than its base's; any other model as it is. */
export function asUsed<M extends ModelConfig>(folder: string, model: M): M {
  if (!isLanguage(model)) return model;
  const file = path.join(folder, 'run.yaml');
  const context = existsSync(file) ? readRunFile(file).job.context : FOREIGN_CONTEXT;
  return withContext(model, Math.min(model.contextLength, context)) as M;
}

/** A run that has not come to its end has no model yet. */
export function requireWeights(folder: string): void {
  if (existsSync(path.join(folder, 'config.json'))) return;
  if (isHosted(folder)) {
    throw new HelioError(
      'HELIO-1005',
      `${folder} has no model yet: its run is under way.`,
      `Wait for its end (\`heliotrope status ${path.basename(folder)}\` says where it is), or stop it with Ctrl-C, which saves the model of then.`,
    );
  }
  throw new HelioError(
    'HELIO-1005',
    `${folder} has no model yet: its run has not ended.`,
    `Resume it: \`${resumeCommand(folder)}\`.`,
  );
}
