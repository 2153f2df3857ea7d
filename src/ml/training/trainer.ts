import { HelioError } from '../../errors.ts';
import type { Batch } from '../data/batches.ts';
import {
  createSession,
  type Feeds,
  floatsOf,
  floatTensor,
  intTensor,
  type Session,
  type Tensor,
} from '../engine/session.ts';
import { type Gpt2Config, gpt2Parameters } from '../models/gpt2.ts';
import { elementsOf, type ParameterArrays, type ParameterSpec } from '../tensor/parameters.ts';
import { type InnerOptimizer, momentsOf, type StepScalars } from './optimizer.ts';
import { type Schedule, scheduleFactor } from './schedule.ts';
import { evaluationGraph, momentName, NEXT, scalarsOf, trainingGraph } from './training-graph.ts';

export interface TrainerOptions {
  readonly model: Gpt2Config;
  readonly optimizer: InnerOptimizer;
  readonly schedule: Schedule;
  readonly batchSize: number;
  readonly clipNorm: number;
  readonly threads: number;
}

export interface StepResult {
  /** Mean cross-entropy per token in nats, before the step's update. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly gradNorm: number;
  readonly tokens: number;
}

/** All that a trainer needs to go on as if it had never stopped. */
export interface TrainerState {
  /** Place in the schedule and in the data. */
  readonly step: number;
  /** Updates that the moments have seen. */
  readonly age: number;
  readonly parameters: ParameterArrays;
  /** Moments by `parameter:moment`. */
  readonly moments: ParameterArrays;
}

/** One model in training on one machine: parameters, moments and the compiled step. */
export class Trainer {
  readonly specs: readonly ParameterSpec[];
  readonly #options: TrainerOptions;
  readonly #training: Session;
  readonly #evaluation: Session;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  #step = 0;
  #age = 0;
  #parameters = new Map<string, Tensor>();
  #moments = new Map<string, Tensor>();
  /** The newest parameters that came from outside: what `evaluate` measures. Shared with #parameters until they move. */
  #global = new Map<string, Tensor>();

  private constructor(options: TrainerOptions, training: Session, evaluation: Session) {
    this.#options = options;
    this.#training = training;
    this.#evaluation = evaluation;
    this.specs = gpt2Parameters(options.model);
    this.#shapes = new Map(this.specs.map((spec) => [spec.name, spec.shape]));
    for (const spec of this.specs) {
      for (const moment of momentsOf(options.optimizer, spec)) {
        const zeros = floatTensor(new Float32Array(elementsOf(spec)), spec.shape);
        this.#moments.set(momentName(spec.name, moment), zeros);
      }
    }
  }

  static async create(options: TrainerOptions, parameters: ParameterArrays): Promise<Trainer> {
    const { model, batchSize, threads } = options;
    const [training, evaluation] = await Promise.all([
      createSession(trainingGraph(model, options), 'training step', { threads }),
      createSession(evaluationGraph(model, batchSize), 'evaluation', { threads }),
    ]);
    const trainer = new Trainer(options, training, evaluation);
    trainer.write(parameters);
    return trainer;
  }

  /** Place in the schedule and in the data: steps taken or skipped. */
  get steps(): number {
    return this.#step;
  }

  /** Moves ahead in schedule and data to where the run is; never back. */
  skipTo(step: number): void {
    this.#step = Math.max(this.#step, step);
  }

  /**
   * Takes one optimizer step.
   *
   * @throws HelioError HELIO-2002 when the loss is not finite; parameters and moments then stay as they were
   */
  async step(batch: Batch): Promise<StepResult> {
    const results = await this.#training.run({
      ...Object.fromEntries(this.#parameters),
      ...Object.fromEntries(this.#moments),
      ...this.#scalars(),
      ...batchFeeds(batch),
    });
    const loss = floatsOf(results.loss!)[0]!;
    const gradNorm = floatsOf(results.gradNorm!)[0]!;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw new HelioError(
        'HELIO-2002',
        `Training diverged at step ${this.#step + 1}: loss ${loss}, gradient norm ${gradNorm}.`,
        'Lower inner.rate (and inner.adamRate), or lengthen inner.warmUpSteps.',
      );
    }
    for (const name of this.#parameters.keys()) this.#parameters.set(name, results[NEXT + name]!);
    for (const name of this.#moments.keys()) this.#moments.set(name, results[NEXT + name]!);
    this.#step++;
    this.#age++;
    return { loss, gradNorm, tokens: batch.tokens.length };
  }

  /** The trainer's current parameters of these names; the arrays are not to be changed. */
  read(names: Iterable<string>): ParameterArrays {
    return new Map(Array.from(names, (name) => [name, floatsOf(this.#parameters.get(name)!)]));
  }

  /**
   * Takes parameters from outside as the newest global ones.
   *
   * @param localShare α: how much of its own parameters the trainer keeps (Streaming DiLoCo, section 2.2); 0 replaces
   */
  write(parameters: ParameterArrays, localShare = 0): void {
    for (const [name, data] of parameters) {
      const shape = this.#shapes.get(name)!;
      const fresh = floatTensor(data, shape);
      this.#global.set(name, fresh);
      const own = this.#parameters.get(name);
      if (localShare === 0 || own === undefined) this.#parameters.set(name, fresh);
      else {
        const mine = floatsOf(own);
        const mixed = data.map((x, i) => localShare * mine[i]! + (1 - localShare) * x);
        this.#parameters.set(name, floatTensor(mixed, shape));
      }
    }
  }

  /** Summed cross-entropy in nats, and tokens, of the newest global parameters on held-out batches. */
  async evaluate(batches: readonly Batch[]): Promise<{ readonly lossSum: number; readonly tokens: number }> {
    let lossSum = 0;
    let tokens = 0;
    for (const batch of batches) {
      const results = await this.#evaluation.run({ ...Object.fromEntries(this.#global), ...batchFeeds(batch) });
      lossSum += floatsOf(results.loss!)[0]! * batch.tokens.length;
      tokens += batch.tokens.length;
    }
    return { lossSum, tokens };
  }

  save(): TrainerState {
    const arrays = (tensors: ReadonlyMap<string, Tensor>): ParameterArrays =>
      new Map([...tensors].map(([name, tensor]) => [name, floatsOf(tensor)]));
    return { step: this.#step, age: this.#age, parameters: arrays(this.#parameters), moments: arrays(this.#moments) };
  }

  /**
   * Restores what {@link save} gave; without parameters, only moments and place. The global parameters stay those last written.
   */
  load(state: TrainerState): void {
    this.#step = state.step;
    this.#age = state.age;
    const tensors = (arrays: ParameterArrays, shapeOf: (name: string) => readonly number[]) =>
      new Map([...arrays].map(([name, data]) => [name, floatTensor(data, shapeOf(name))]));
    for (const [name, tensor] of tensors(state.parameters, (name) => this.#shapes.get(name)!)) {
      this.#parameters.set(name, tensor);
    }
    this.#moments = tensors(state.moments, (name) => this.#shapes.get(name.slice(0, name.lastIndexOf(':')))!);
  }

  async release(): Promise<void> {
    await Promise.all([this.#training.release(), this.#evaluation.release()]);
  }

  #scalars(): Feeds {
    const { optimizer, schedule } = this.#options;
    const factor = scheduleFactor(schedule, this.#step + 1);
    const [beta1, beta2] = optimizer.betas;
    const age = this.#age + 1;
    const values: Readonly<Record<keyof StepScalars, number>> = {
      // Never quite zero: the update divides by it (optimizer.ts).
      adamRate: Math.max(1e-30, factor * (optimizer.kind === 'muon' ? optimizer.adamRate : optimizer.rate)),
      matrixRate: factor * optimizer.rate,
      correction1: 1 / (1 - beta1 ** age),
      correction2: 1 / (1 - beta2 ** age),
    };
    return Object.fromEntries(
      scalarsOf(optimizer).map((name) => [name, floatTensor(Float32Array.of(values[name]), [])]),
    );
  }
}

function batchFeeds({ tokens, targets, shape }: Batch): Feeds {
  return { tokens: intTensor(tokens, shape), targets: intTensor(targets, shape) };
}
