import { HelioError } from '../../errors.ts';
import type { Batch } from '../data/batches.ts';
import type { FloatType } from '../engine/ir.ts';
import {
  type Feeds,
  fetchFloats,
  floatTensor,
  intTensor,
  type Runtime,
  type Session,
  scalarTensor,
  type Tensor,
} from '../engine/session.ts';
import { type ModelConfig, parametersOf } from '../models/model.ts';
import { type ParameterArrays, type ParameterSpec, trainable } from '../tensor/parameters.ts';
import { seededRandom } from '../tensor/random.ts';
import type { InnerOptimizer } from './optimizer.ts';
import { ParameterStore } from './parameter-store.ts';
import { type Schedule, scheduleFactor } from './schedule.ts';
import {
  DROPOUT_PRIME,
  type DropoutSite,
  dropoutNames,
  evaluationGraph,
  gradientGraph,
  gradientName,
} from './training-graph.ts';

export interface TrainerOptions {
  readonly runtime: Runtime;
  readonly model: ModelConfig;
  readonly optimizer: InnerOptimizer;
  readonly schedule: Schedule;
  /** Rows of one micro-batch. */
  readonly batchSize: number;
  readonly clipNorm: number;
  readonly threads: number;
  /** Micro-batches that {@link Trainer.step} is given; their gradients are added up. Default 1. */
  readonly microBatches?: number;
  /** Default float32. With float16 the loss is scaled so that small gradients survive (arXiv 1710.03740). */
  readonly precision?: FloatType;
  /** Compute activations again in the backward pass instead of keeping them. Default false. */
  readonly recompute?: boolean;
  readonly dropout?: number;
  readonly labelSmoothing?: number;
  /** Seed of dropout masks. */
  readonly seed?: number;
  /** Where ONNX Runtime's own profile of the gradient graph goes. */
  readonly profile?: string;
}

export interface StepResult {
  /** Mean loss (nats a token or example, squared error in a regression) before the step's update. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly gradNorm: number;
  /** Tokens or examples that counted; 0 in a skipped step. */
  readonly tokens: number;
  /** The gradient was not finite, so parameters and moments were left as they were. */
  readonly skipped: boolean;
}

export interface Evaluation {
  readonly lossSum: number;
  /** Tokens or examples that counted. */
  readonly tokens: number;
  /** Of a classifier: how many were right. */
  readonly correct?: number;
}

/** What stays of its own parameters when others are written: a share α of them, or how far they moved from where they were. */
export type KeptParameters =
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'moved'; readonly from: ParameterArrays };

/** All that a trainer needs to go on as if it had never stopped. */
export interface TrainerState {
  /** Place in the schedule and in the data. */
  readonly step: number;
  /** Updates that the moments have seen. */
  readonly age: number;
  /** Power of two that the loss is multiplied by in float16, and good steps since it last changed. */
  readonly lossScale: number;
  readonly goodSteps: number;
  readonly parameters: ParameterArrays;
  /** Moments by `parameter:moment`. */
  readonly moments: ParameterArrays;
}

/** Steps in a row whose gradient is not finite, after which training has diverged. */
const MAX_SKIPPED = 10;
const FIRST_LOSS_SCALE = 2 ** 15;
const MAX_LOSS_SCALE = 2 ** 24;
/** Good steps after which the loss scale is doubled. */
const GROWTH_STEPS = 200;

/**
 * One model in training on one machine. Each step is two graphs: one for loss and gradients, and after a look at their
 * norm one that updates the parameters where they lie. Calls are carried out one after the other, so what is read or
 * written between steps is of one moment.
 */
export class Trainer {
  readonly specs: readonly ParameterSpec[];
  readonly #options: TrainerOptions;
  readonly #gradients: Session;
  readonly #sites: readonly DropoutSite[];
  readonly #evaluation: Session;
  readonly #store: ParameterStore;
  #step = 0;
  #age = 0;
  #lossScale: number;
  #goodSteps = 0;
  #skippedInARow = 0;
  #tail: Promise<unknown> = Promise.resolve();
  /** The newest parameters that came from outside: what `evaluate` measures. Empty until some did. */
  #global = new Map<string, Tensor>();

  private constructor(
    options: TrainerOptions,
    gradients: Session,
    sites: readonly DropoutSite[],
    evaluation: Session,
    store: ParameterStore,
  ) {
    this.#options = options;
    this.#gradients = gradients;
    this.#sites = sites;
    this.#evaluation = evaluation;
    this.#store = store;
    this.specs = trainable(parametersOf(options.model));
    this.#lossScale = options.precision === 'float16' ? FIRST_LOSS_SCALE : 1;
  }

  /**
   * @param parameters every parameter of the model; the trainer copies what it changes
   * @throws HelioError HELIO-2001 when the runtime refuses the graphs
   */
  static async create(options: TrainerOptions, parameters: ParameterArrays): Promise<Trainer> {
    const { runtime, model, batchSize, threads, microBatches = 1, profile } = options;
    const { precision = 'float32', recompute = false, dropout = 0, labelSmoothing = 0 } = options;
    const { graph, sites } = gradientGraph(model, {
      batchSize,
      precision,
      recompute,
      dropout,
      labelSmoothing,
      accumulate: microBatches > 1,
    });
    const specs = parametersOf(model);
    const resident = trainable(specs).map((spec) => gradientName(spec.name));
    const gradients = await runtime.compile(graph, 'loss and gradients', {
      threads,
      resident,
      ...(profile === undefined ? {} : { profile }),
    });
    const evaluation = await runtime.compile(evaluationGraph(model, batchSize), 'evaluation', { threads });
    const store = await ParameterStore.create(runtime, threads, options.optimizer, specs, parameters);
    return new Trainer(options, gradients, sites, evaluation, store);
  }

  /** Place in the schedule and in the data: steps taken or skipped. */
  get steps(): number {
    return this.#step;
  }

  /** Goes on from another place in schedule and data. */
  moveTo(step: number): void {
    this.#step = step;
  }

  /** Moves ahead in schedule and data to where the run is; never back. */
  skipTo(step: number): void {
    this.#step = Math.max(this.#step, step);
  }

  /**
   * Takes one optimizer step on one batch, or on as many micro-batches as the trainer was made for. A step whose
   * gradient is not finite is skipped and says so.
   *
   * @throws HelioError HELIO-2002 when too many in a row were
   */
  step(...batches: readonly Batch[]): Promise<StepResult> {
    return this.#inTurn(async () => {
      const tokens = batches.reduce((sum, batch) => sum + batch.count, 0);
      const { loss, squares } = await this.#accumulate(batches, Math.max(1, tokens));
      const gradNorm = Math.sqrt(squares) / this.#lossScale;
      this.#step++;
      if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) return this.#skip(loss, gradNorm);
      const clip = Math.min(1, this.#options.clipNorm / (gradNorm + 1e-6));
      const factor = scheduleFactor(this.#options.schedule, this.#step);
      this.#age++;
      await this.#store.update(factor, clip / this.#lossScale, this.#age);
      this.#goodStep();
      return { loss, gradNorm, tokens, skipped: false };
    });
  }

  /**
   * A copy of parameters at a step boundary.
   *
   * @param names in the order in which they are laid end to end
   * @param packed where to put them; of their elements' number
   */
  read(names: readonly string[], packed?: Float32Array): Promise<ParameterArrays> {
    const sizes = new Map(this.specs.map((spec) => [spec.name, spec.shape.reduce((a, b) => a * b, 1)]));
    const target = packed ?? new Float32Array(names.reduce((sum, name) => sum + sizes.get(name)!, 0));
    return this.#inTurn(() => this.#store.read(names, target));
  }

  /**
   * Takes parameters from outside as the newest global ones. The arrays are kept, and are not to be changed.
   *
   * @param kept a share α of the trainer's own (Streaming DiLoCo, section 2.2), 0 replaces; or how far it moved from there
   */
  write(parameters: ParameterArrays, kept: KeptParameters = { kind: 'share', share: 0 }): Promise<void> {
    return this.#inTurn(async () => {
      for (const { name, shape } of this.specs) {
        const data = parameters.get(name);
        if (data === undefined) continue;
        this.#global.set(name, floatTensor(data, shape));
        this.#store.anchor(name, data);
        const own = kept.kind === 'share' ? kept.share : kept.from.get(name)!;
        await this.#store.mix(name, data, own);
      }
    });
  }

  /** Summed loss on held-out batches, of the parameters that were last written, or of its own where none were. */
  evaluate(batches: Iterable<Batch>): Promise<Evaluation> {
    return this.#inTurn(async () => {
      let [lossSum, tokens, correct] = [0, 0, 0];
      let classifier = false;
      for (const batch of batches) {
        const feeds = { ...this.#store.feeds, ...Object.fromEntries(this.#global), ...batchFeeds(batch) };
        const results = await this.#evaluation.run(feeds);
        lossSum += (await fetchFloats(results.lossSum!))[0]!;
        tokens += batch.count;
        if (results.correct === undefined) continue;
        classifier = true;
        correct += (await fetchFloats(results.correct))[0]!;
      }
      return classifier ? { lossSum, tokens, correct } : { lossSum, tokens };
    });
  }

  /** Everything of this moment. In ordinary memory the arrays are the trainer's own: use them before the next step. */
  save(): Promise<TrainerState> {
    return this.#inTurn(async () => ({
      step: this.#step,
      age: this.#age,
      lossScale: this.#lossScale,
      goodSteps: this.#goodSteps,
      parameters: await this.#store.parameters(),
      moments: await this.#store.moments(),
    }));
  }

  /**
   * Restores what {@link save} gave; without parameters, only moments and place. The global parameters stay those last
   * written.
   */
  load(state: TrainerState): Promise<void> {
    return this.#inTurn(async () => {
      this.#step = state.step;
      this.#age = state.age;
      this.#lossScale = state.lossScale;
      this.#goodSteps = state.goodSteps;
      for (const [name, data] of state.parameters) this.#store.write(name, data);
      this.#store.loadMoments(state.moments);
    });
  }

  async release(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#gradients.release();
      await this.#evaluation.release();
      await this.#store.release();
    });
  }

  /** Loss and gradients of all micro-batches together; the gradients stay in the store. */
  async #accumulate(
    batches: readonly Batch[],
    tokens: number,
  ): Promise<{ readonly loss: number; readonly squares: number }> {
    const several = (this.#options.microBatches ?? 1) > 1;
    if (several) this.#store.clearGradients();
    let lossSum = 0;
    let squares = 0;
    for (const [part, batch] of batches.entries()) {
      const results = await this.#gradients.run(
        {
          ...this.#store.feeds,
          ...(several ? this.#store.sums : {}),
          ...batchFeeds(batch),
          ...this.#dropoutFeeds(part),
          lossWeight: scalarTensor(this.#lossScale / tokens),
        },
        this.#store.gradients,
      );
      this.#store.replaceGradients(results);
      lossSum += (await fetchFloats(results.lossSum!))[0]!;
      squares = (await fetchFloats(results.squares!))[0]!;
    }
    return { loss: lossSum / tokens, squares };
  }

  #skip(loss: number, gradNorm: number): StepResult {
    if (this.#lossScale > 1) {
      // In float16 an overflow is nothing bad: the next step is tried with half the scale.
      this.#lossScale /= 2;
      this.#goodSteps = 0;
      return { loss, gradNorm, tokens: 0, skipped: true };
    }
    this.#skippedInARow++;
    if (this.#skippedInARow < MAX_SKIPPED) return { loss, gradNorm, tokens: 0, skipped: true };
    throw new HelioError(
      'HELIO-2002',
      `Training diverged: ${MAX_SKIPPED} steps in a row up to step ${this.#step} had a loss or gradient that is not finite (loss ${loss}, gradient norm ${gradNorm}).`,
      'Lower inner.rate (and inner.adamRate), or lengthen inner.warmUpSteps; the parameters are still those from before.',
    );
  }

  #goodStep(): void {
    this.#skippedInARow = 0;
    if (this.#options.precision !== 'float16') return;
    this.#goodSteps++;
    if (this.#goodSteps % GROWTH_STEPS === 0) this.#lossScale = Math.min(MAX_LOSS_SCALE, this.#lossScale * 2);
  }

  /** Residues of every dropout place: they follow from seed, step and micro-batch alone. */
  #dropoutFeeds(part: number): Feeds {
    const feeds: Record<string, Tensor> = {};
    this.#sites.forEach(({ rows, columns }, site) => {
      const random = seededRandom(this.#options.seed ?? 0, this.#step, part, site);
      const residues = (length: number): Float32Array =>
        Float32Array.from({ length }, () => 1 + random.integer(DROPOUT_PRIME - 1));
      const names = dropoutNames(site);
      feeds[names.rows] = floatTensor(residues(rows), [rows, 1]);
      feeds[names.columns] = floatTensor(residues(columns), [1, columns]);
    });
    return feeds;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#tail.then(work);
    this.#tail = mine.catch(() => {});
    return mine;
  }
}

function batchFeeds({ input, shape, targets, targetShape, weights }: Batch): Feeds {
  const tensor = (data: Float32Array | BigInt64Array, dims: readonly number[]): Tensor =>
    data instanceof Float32Array ? floatTensor(data, dims) : intTensor(data, dims);
  return {
    input: tensor(input, shape),
    targets: tensor(targets, targetShape),
    weights: floatTensor(weights, [weights.length, 1]),
  };
}
