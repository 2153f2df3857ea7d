import path from 'node:path';
import { HelioError } from '../errors.ts';
import { fragmentsOf, modelOf } from '../island/layout.ts';
import { DEFAULT_VOCABULARY, type Preparation, prepareData, tokenizerOf } from '../island/node/job-data.ts';
import type { Tokenizer } from '../ml/data/tokenizer.ts';
import { type OpenedModel, openWeights } from '../ml/models/hugging-face.ts';
import { huggingFaceConfigOf, isLanguage, type ModelConfig, parametersOf } from '../ml/models/model.ts';
import { loadFolderTokenizer } from '../ml/models/tokenizer-files.ts';
import { countParameters, initializeParameter, type ParameterArrays, trainable } from '../ml/tensor/parameters.ts';
import { layOutSafetensors, type SafetensorsLayout } from '../ml/tensor/safetensors-layout.ts';
import { LazyArrays, lazySources } from '../ml/tensor/tensor-source.ts';
import type { Fragment } from '../outer/fragments.ts';
import type { Job } from '../protocol/run-file.ts';
import { checkEnergyPlan } from './energy-plan-checks.ts';
import { checkOuter } from './outer-checks.ts';

/** Everything of a run that is settled before the first island comes. */
export interface PreparedRun {
  readonly job: Job;
  readonly dataFolder: string;
  readonly model: ModelConfig;
  readonly preparation: Preparation;
  /** Of a language model. */
  readonly tokenizer: Tokenizer | undefined;
  /** Weights that training begins with, where there is a base; its files stay open. */
  readonly base: LazyArrays | undefined;
  readonly fragments: readonly Fragment[];
  /** All parameters, and those of them that are trained. */
  readonly parameterCount: number;
  readonly trainedCount: number;
  /** Tokens or examples to train on, of a long text estimated from a part, and held out. */
  readonly trainingTokens: number;
  readonly heldOutTokens: number;
  /** What was chosen where the run file leaves it open, and may not be expected. */
  readonly notices: readonly string[];
}

/**
 * Reads the data, trains or loads the tokenizer and the base, and checks that all sizes fit, so that every mistake in a
 * run file shows here and not in an island.
 *
 * @param dataFolder where the job's relative paths start
 * @param given the preparation of a run that is resumed
 */
export async function prepareRun(read: Job, dataFolder: string, given?: Preparation): Promise<PreparedRun> {
  checkOuter(read);
  checkEnergyPlan(read);
  checkInner(read);
  const base = loadBase(read, dataFolder);
  const sized = base === undefined ? read : withBaseSizes(read, base.model);
  const preparation = given ?? base?.preparation;
  const data = await prepareData(sized, dataFolder, preparation);
  const job = { ...sized, sample: { ...sized.sample, prompt: sized.sample.prompt ?? data.opening } };
  const model = modelOf(job, data.sizes);
  const specs = parametersOf(model);
  if (trainable(specs).length === 0) {
    throw new HelioError(
      'HELIO-1002',
      `model.lora.targets ${job.model.lora?.targets?.join(', ')} names no layer of a ${job.model.architecture}.`,
      'Leave it out, or name layers such as c_attn (gpt2) or q_proj (llama).',
    );
  }
  return {
    job,
    dataFolder,
    model,
    preparation: data.preparation,
    tokenizer: data.preparation.kind === 'text' ? tokenizerOf(data.preparation) : undefined,
    base: base?.parameters,
    fragments: fragmentsOf(model, job.outer),
    parameterCount: countParameters(specs),
    trainedCount: countParameters(trainable(specs)),
    trainingTokens: data.training,
    heldOutTokens: data.heldOut,
    notices: preparation === undefined ? vocabularyNotices(job, model) : [],
  };
}

/** A tokenizer that is trained here and has fewer tokens than is usual. */
function vocabularyNotices({ tokenizer }: Job, model: ModelConfig): readonly string[] {
  if (!isLanguage(model) || 'path' in tokenizer || tokenizer.vocabularySize !== undefined) return [];
  const { vocabularySize } = model;
  return vocabularySize === DEFAULT_VOCABULARY
    ? []
    : [`The text supports a vocabulary of ${vocabularySize} tokens, fewer than the usual ${DEFAULT_VOCABULARY}.`];
}

/** Weights and tokenizer of `model.base`. */
function loadBase({ model }: Job, folder: string): (OpenedModel & { readonly preparation: Preparation }) | undefined {
  if (model.base === undefined) return undefined;
  const place = path.resolve(folder, model.base);
  const saved = openWeights(place);
  return { ...saved, preparation: folderPreparation(place) };
}

/** How text becomes numbers for the model in a folder. */
export function folderPreparation(folder: string): Preparation {
  const { tokenizer, tokenizerJson, beside } = loadFolderTokenizer(folder);
  return { kind: 'text', tokenizerJson, beside, endOfText: tokenizer.endOfText };
}

/**
 * The job with the base's own config.
 *
 * @throws HelioError HELIO-1002 when the job says others
 */
function withBaseSizes(job: Job, base: ModelConfig): Job {
  if (!isLanguage(base)) {
    throw new HelioError(
      'HELIO-1002',
      `model.base ${job.model.base} is a ${base.architecture}.`,
      'Name a language model.',
    );
  }
  const { architecture, base: place, lora, config: _, ...said } = job.model;
  if (architecture === 'gpt2' && base.architecture !== 'gpt2')
    throw contradictsBase(job, 'architecture', base.architecture);
  const own = base as unknown as Readonly<Record<string, unknown>>;
  for (const [key, wanted] of Object.entries(said))
    if (wanted !== undefined && wanted !== own[key]) throw contradictsBase(job, key, own[key]);
  // As islands are told it; what it says of special tokens is the base's own, or nothing.
  const config = huggingFaceConfigOf(base) as NonNullable<Job['model']['config']>;
  return { ...job, model: { architecture: 'base', base: place, lora, config } };
}

const contradictsBase = ({ model }: Job, key: string, own: unknown): HelioError =>
  new HelioError(
    'HELIO-1002',
    `model.${key} is ${String(model[key as keyof typeof model])}, and the base ${model.base} has ${String(own)}.`,
    `Leave model.${key} out.`,
  );

/** @throws HelioError HELIO-1001 */
function checkInner({ inner, batch }: Job): void {
  if (batch % inner.microBatches === 0) return;
  const near = [1, 2, 4, 8, 16, 32].filter((n) => batch % n === 0).join(', ');
  throw new HelioError(
    'HELIO-1001',
    `inner.microBatches ${inner.microBatches} does not divide batch ${batch}.`,
    `Choose one that does: ${near}.`,
  );
}

/** What training begins with: fresh parameters, over them the base's. Each is made, or read, when it is asked for. */
export function initialParameters({ model, job, base }: PreparedRun): ParameterArrays {
  const lazy = lazySources();
  const fresh = parametersOf(model).map(
    (spec, index) => [spec.name, lazy(spec.shape, () => initializeParameter(spec, index, job.seed))] as const,
  );
  return new LazyArrays(new Map([...fresh, ...(base?.sources ?? [])]));
}

/**
 * The frozen weights that adapters need, as the safetensors file that islands are sent; null where everything is trained. What is sent is read
 * from the base's own files at that moment.
 */
export function frozenFile({ model, base }: PreparedRun): SafetensorsLayout | null {
  const frozen = parametersOf(model).filter((spec) => spec.frozen === true);
  if (frozen.length === 0 || base === undefined) return null;
  return layOutSafetensors(new Map(frozen.map(({ name }) => [name, base.sources.get(name)!])));
}
