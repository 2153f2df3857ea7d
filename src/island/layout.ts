import { HelioError } from '../errors.ts';
import { objectReader } from '../ml/models/config-reader.ts';
import { positionsOf } from '../ml/models/family.ts';
import { llamaHiddenWidth } from '../ml/models/llama.ts';
import {
  checkModel,
  isLanguage,
  type LanguageConfig,
  loraTargetsOf,
  type ModelConfig,
  parametersOf,
  readModelConfig,
  withContext,
} from '../ml/models/model.ts';
import { elementsOf, type ParameterSpec, trainable } from '../ml/tensor/parameters.ts';
import type { InnerOptimizer } from '../ml/training/optimizer.ts';
import type { Schedule } from '../ml/training/schedule.ts';
import type { TrainerOptions } from '../ml/training/trainer.ts';
import { cutIntoFragments, type Fragment, type TensorLayout } from '../outer/fragments.ts';
import type { OuterSettings } from '../outer/settings.ts';
import type { Job } from '../protocol/run-file.ts';

/** Translates a job into the settings of the room `ml`, and its parameters into fragments of `outer`. */

/** What the data decide about a model: its vocabulary, or the shape of an example and how many outputs it has. */
export type DataSizes =
  | { readonly kind: 'text'; readonly vocabularySize: number }
  | { readonly kind: 'examples'; readonly shape: readonly number[]; readonly outputs: number };

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
export function modelOf(job: Job, data: DataSizes): ModelConfig {
  const model = data.kind === 'text' ? languageModelOf(job, data.vocabularySize) : exampleModelOf(job, data);
  checkModel(model);
  return model;
}

function languageModelOf({ model, context }: Job, vocabularySize: number): LanguageConfig {
  const bare = model.config === undefined ? freshModelOf(model, context, vocabularySize) : baseModelOf(model.config);
  if (bare.vocabularySize < vocabularySize) {
    throw new HelioError(
      'HELIO-1002',
      `The tokenizer has ${vocabularySize} tokens, and the base's vocabulary ${bare.vocabularySize}.`,
      'Take the tokenizer that the base was trained with.',
    );
  }
  if (context > positionsOf(bare)) {
    throw new HelioError(
      'HELIO-1002',
      `context is ${context}, and the base has ${positionsOf(bare)} positions.`,
      `Set context to ${positionsOf(bare)} or less.`,
    );
  }
  const { lora } = model;
  const adapter = lora === undefined ? {} : { lora: { ...lora, targets: lora.targets ?? loraTargetsOf(bare) } };
  return { ...withContext(bare, context), ...adapter };
}

/** A base's own architecture and sizes; its vocabulary may be larger than its tokenizer's, to be a round number. */
function baseModelOf(config: Readonly<Record<string, unknown>>): LanguageConfig {
  const model = readModelConfig(objectReader(config, 'model.config'));
  if (isLanguage(model)) return model;
  throw new HelioError('HELIO-1002', `model.config is a ${model.architecture}.`, 'Name a language model.');
}

function freshModelOf(model: Job['model'], contextLength: number, vocabularySize: number): LanguageConfig {
  const { layers = 4, width = 128, heads = 4 } = model;
  const sizes = { vocabularySize, contextLength, width, layers, heads };
  if (model.architecture === 'gpt2') return { architecture: 'gpt2', ...sizes };
  return {
    architecture: 'llama',
    ...sizes,
    keyValueHeads: model.keyValueHeads ?? heads,
    hiddenWidth: model.hiddenWidth ?? llamaHiddenWidth(width),
    tied: model.tied ?? true,
    ropeTheta: model.ropeTheta ?? 10_000,
    normEpsilon: model.normEpsilon ?? 1e-5,
  };
}

function exampleModelOf({ model }: Job, { shape, outputs }: DataSizes & { kind: 'examples' }): ModelConfig {
  if (model.architecture === 'cnn') {
    const [channels, height, width] = shape as readonly [number, number, number];
    return { architecture: 'cnn', channels, height, width, stages: model.stages ?? [32, 64], outputs };
  }
  const inputs = shape.reduce((product, d) => product * d, 1);
  return {
    architecture: 'mlp',
    inputs,
    hidden: model.hidden ?? [128],
    outputs,
    task: model.task ?? 'classification',
  };
}

export function innerOptimizerOf({ inner, outer }: Job): InnerOptimizer {
  const { rate, betas, epsilon, weightDecay } = inner;
  const { proximal } = outer;
  const adam = { rate, betas, epsilon, weightDecay, proximal } as const;
  switch (inner.optimizer) {
    case 'adamw':
      return { kind: 'adamw', ...adam };
    case 'muon':
      return {
        kind: 'muon',
        ...adam,
        momentum: inner.muonMomentum,
        adamRate: inner.adamRate,
        newtonSchulzSteps: inner.newtonSchulzSteps,
      };
    case 'sgd':
      return { kind: 'sgd', rate, weightDecay, proximal, momentum: inner.sgdMomentum, nesterov: true };
  }
}

export function scheduleOf({ inner, stop }: Job): Schedule {
  const { schedule: shape, warmUpSteps, finalShare, decayShare } = inner;
  return { shape, warmUpSteps, totalSteps: stop.steps, finalShare, decayShare };
}

/** A trainer's options as the job gives them; the machine adds runtime and threads. */
export function trainingOf(job: Job, model: ModelConfig): Omit<TrainerOptions, 'runtime' | 'threads'> {
  const { clipNorm, microBatches, recompute, dropout, labelSmoothing, precision } = job.inner;
  return {
    model,
    optimizer: innerOptimizerOf(job),
    schedule: scheduleOf(job),
    batchSize: job.batch / microBatches,
    microBatches,
    clipNorm,
    precision,
    recompute,
    dropout,
    labelSmoothing,
    seed: job.seed,
  };
}

/** The same cut on both sides of the wire: it follows from the model and the settings alone. */
export function fragmentsOf(
  model: ModelConfig,
  { fragments, fragmentation }: Pick<OuterSettings, 'fragments' | 'fragmentation'>,
): readonly Fragment[] {
  return cutIntoFragments(trainable(parametersOf(model)).map(layoutOf), fragments, fragmentation);
}

function layoutOf(spec: ParameterSpec): TensorLayout {
  const [rows, ...rest] = spec.shape;
  const layer = LAYER.exec(spec.name)?.[1];
  return {
    name: spec.name,
    shape: spec.shape,
    elements: elementsOf(spec),
    role: spec.role === 'embedding' ? 'embedding' : 'other',
    ...(rest.length > 0 ? { rows: rows! } : {}),
    ...(layer === undefined ? {} : { layer: Number(layer) }),
  };
}

/** All models number their layers: `transformer.h.3.`, `model.layers.3.`, `conv.3.`, `3.`. */
const LAYER = /(?:^|\.)(\d+)\./;
