import { llamaHiddenWidth } from '../ml/models/llama.ts';
import { checkModel, type LanguageConfig, type ModelConfig, parametersOf } from '../ml/models/model.ts';
import { elementsOf, type ParameterSpec, trainable } from '../ml/tensor/parameters.ts';
import type { InnerOptimizer } from '../ml/training/optimizer.ts';
import type { Schedule } from '../ml/training/schedule.ts';
import type { TrainerOptions } from '../ml/training/trainer.ts';
import { cutIntoFragments, type Fragment, type TensorLayout } from '../outer/fragments.ts';
import type { OuterSettings } from '../outer/settings.ts';
import type { Job } from '../protocol/run-file.ts';

/** How a job reads in the terms of the room `ml`, and its parameters in those of `outer`. */

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
  const { layers = 4, width = 128, heads = 4, lora } = model;
  const sizes = { vocabularySize, contextLength: context, width, layers, heads };
  const adapter =
    lora === undefined ? {} : { lora: { ...lora, targets: lora.targets ?? LORA_TARGETS[model.architecture] ?? [] } };
  if (model.architecture === 'gpt2') return { architecture: 'gpt2', ...sizes, ...adapter };
  return {
    architecture: 'llama',
    ...sizes,
    keyValueHeads: model.keyValueHeads ?? heads,
    hiddenWidth: model.hiddenWidth ?? llamaHiddenWidth(width),
    tied: model.tied ?? true,
    ropeTheta: model.ropeTheta ?? 10_000,
    normEpsilon: model.normEpsilon ?? 1e-5,
    ...adapter,
  };
}

/** Every matrix of attention and MLP. */
const LORA_TARGETS: Readonly<Record<string, readonly string[]>> = {
  gpt2: ['c_attn', 'c_proj', 'c_fc'],
  llama: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};

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

/** All that a trainer is told by the job; what the machine adds are its runtime and threads. */
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
