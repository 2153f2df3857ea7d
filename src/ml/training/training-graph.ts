import { crossEntropySum, headCrossEntropySum, rowsAtOnce } from '../engine/cross-entropy.ts';
import { differentiate } from '../engine/differentiate.ts';
import { correctSum, DROPOUT_PRIME, squaredErrorSum, sumOfSquares } from '../engine/functions.ts';
import { Graph } from '../engine/graph.ts';
import type { Build, FloatType, Value } from '../engine/ir.ts';
import { recomputed } from '../engine/recompute.ts';
import { forwardPass, fullSequence } from '../models/forward-pass.ts';
import {
  inputShapeOf,
  isLanguage,
  isRegression,
  loraOf,
  type ModelConfig,
  outputsOf,
  parametersOf,
} from '../models/model.ts';
import { trainable } from '../tensor/parameters.ts';

export interface GradientGraphOptions {
  readonly batchSize: number;
  /** What matrix products compute in; parameters and their gradients are float32 all the same. */
  readonly precision: FloatType;
  /** Blocks keep only their input and are computed again in the backward pass. */
  readonly recompute: boolean;
  /** Share of activations that is dropped. */
  readonly dropout: number;
  readonly labelSmoothing: number;
  /** Adds to the gradients of the micro-batches before. */
  readonly accumulate: boolean;
  /** Rows of a language model whose logits are there at once; as many as {@link rowsAtOnce} says when left out. */
  readonly lossRows?: number;
}

/** A place where activations are dropped: lengths of the two vectors of residues that it is fed. */
export interface DropoutSite {
  readonly rows: number;
  readonly columns: number;
}

export const gradientName = (parameter: string): string => `gradient:${parameter}`;
/** The sum of a gradient over the micro-batches before. */
export const sumName = (parameter: string): string => `sum:${parameter}`;
export const dropoutNames = (site: number) => ({ rows: `dropout:${site}:rows`, columns: `dropout:${site}:columns` });
export { DROPOUT_PRIME };

/**
 * Forward and backward pass of one micro-batch.
 *
 * Inputs: `input`, `targets`, `weights` (one for each target; 0 leaves it out), `lossWeight` (a scalar: what the summed
 * loss is multiplied by before it is differentiated), every parameter, with `accumulate` also `sum:` every trained
 * one, and the residues of each {@link DropoutSite}.
 * Outputs: `lossSum` (Σ weight · loss), `squares` (Σ of all gradients' squares), `gradient:` every trained parameter.
 */
export function gradientGraph(
  model: ModelConfig,
  options: GradientGraphOptions,
): { readonly graph: Graph; readonly sites: readonly DropoutSite[] } {
  const sites = new Sites(options.dropout);
  const graph = new Graph({
    precision: options.precision,
    // Blocks, or of each the inside of attention alone, as FlashAttention does it (arXiv 2205.14135, section 3.1).
    segment: (g, kind, inputs, build) =>
      (kind === 'block') === options.recompute ? recomputed(g, inputs, sites.replayed(build)) : build(inputs),
  });
  sites.graph = graph;
  const lossWeight = graph.input('lossWeight', 'float32', []);
  const { batchSize, labelSmoothing: smoothing, lossRows } = options;
  const { lossSum, parameters } = lossGraph(graph, model, batchSize, { smoothing, lossWeight, sites, lossRows });
  const specs = trainable(parametersOf(model));
  const trained = specs.map((spec) => parameters.get(spec.name)!);
  const gradients = differentiate(graph, lossSum, trained, lossWeight).map((gradient, i) => {
    if (!options.accumulate) return gradient;
    const before = graph.input(sumName(specs[i]!.name), 'float32', specs[i]!.shape);
    return graph.one('Add', [before, gradient]);
  });
  const squares = gradients.map((gradient) => sumOfSquares(graph, gradient));
  graph.output('lossSum', lossSum);
  // The loss first, then the last layer's gradients to the first one's: the runtime works in the order of this sum, each
  // gradient is computed where the backward pass meets it, and activations are free as early as they can be.
  graph.output(
    'squares',
    squares.reduceRight((sum, square) => graph.one('Add', [sum, square]), graph.one('Mul', [lossSum, graph.scalar(0)])),
  );
  gradients.forEach((gradient, i) => {
    graph.output(gradientName(specs[i]!.name), gradient);
  });
  return { graph, sites: sites.list };
}

/** Forward pass alone: `lossSum`, and for classifiers `correct`, the summed weight of rows that were right. */
export function evaluationGraph(model: ModelConfig, batchSize: number): Graph {
  const graph = new Graph();
  const { lossSum, outputs, targets, weights } = lossGraph(graph, model, batchSize, {});
  graph.output('lossSum', lossSum);
  if (!isLanguage(model) && !isRegression(model)) graph.output('correct', correctSum(graph, outputs, targets, weights));
  return graph;
}

/** Forward pass alone, with other names on request: `outputs` are logits [rows, classes] or predictions. */
export function outputsGraph(
  model: ModelConfig,
  batchSize: number,
  names: { readonly input: string; readonly outputs: string } = { input: 'input', outputs: 'outputs' },
): Graph {
  const graph = new Graph();
  const { outputs } = forward(graph, model, batchSize, undefined, names.input);
  graph.output(names.outputs, outputs);
  return graph;
}

/** Inputs `targets` and `weights`, and how many rows of output there are. */
export function targetShapeOf(model: ModelConfig, batchSize: number): readonly number[] {
  if (isLanguage(model)) return [batchSize * model.contextLength];
  return isRegression(model) ? [batchSize, (model as { outputs: number }).outputs] : [batchSize];
}

interface LossOptions {
  readonly smoothing?: number;
  /** What the loss will be differentiated with. */
  readonly lossWeight?: Value;
  readonly sites?: Sites;
  readonly lossRows?: number | undefined;
}

function lossGraph(graph: Graph, model: ModelConfig, batchSize: number, options: LossOptions) {
  const { outputs, parameters } = forward(graph, model, batchSize, options.sites);
  const frozen = parametersOf(model).flatMap((spec) => (spec.frozen === true ? [parameters.get(spec.name)!] : []));
  const shape = targetShapeOf(model, batchSize);
  const targets = graph.input('targets', isRegression(model) ? 'float32' : 'int64', shape);
  const weights = graph.input('weights', 'float32', [shape[0]!, 1]);
  const lossSum = isRegression(model)
    ? squaredErrorSum(graph, outputs, targets, weights)
    : classLoss(graph, outputs, targets, weights, frozen, options);
  return { outputs, parameters, targets, weights, lossSum };
}

/** Cross-entropy, in blocks of rows where the logits of all would be large. */
function classLoss(
  graph: Graph,
  logits: Value,
  targets: Value,
  weights: Value,
  frozen: readonly Value[],
  { smoothing = 0, lossWeight, lossRows }: LossOptions,
): Value {
  const [rows, classes] = logits.shape as readonly [number, number];
  const block = lossRows ?? rowsAtOnce(classes);
  const last = graph.producer(logits);
  if (rows <= block || last?.op !== 'Head') return crossEntropySum(graph, logits, targets, weights, smoothing);
  const [x, weight] = last.inputs as readonly [Value, Value];
  const cast = graph.producer(weight);
  const trained = !frozen.includes(cast?.op === 'Cast' ? cast.inputs[0]! : weight);
  return headCrossEntropySum(graph, [x, weight], targets, weights, { block, smoothing, dSum: lossWeight, trained });
}

function forward(graph: Graph, model: ModelConfig, batchSize: number, sites?: Sites, name = 'input') {
  const input = graph.input(name, isLanguage(model) ? 'int64' : 'float32', inputShapeOf(model, batchSize));
  const specs = parametersOf(model);
  const values = specs.map((spec) => graph.input(spec.name, 'float32', spec.shape));
  const pass = forwardPass(graph, specs, values, loraOf(model), fullSequence(sites));
  const parameters: ReadonlyMap<string, Value> = new Map(specs.map((spec, i) => [spec.name, values[i]!]));
  return { outputs: outputsOf(pass, model, input), parameters };
}

/** The dropout places of a model in the order in which it is built; a segment that is built again has the same ones. */
class Sites {
  readonly rate: number;
  readonly list: DropoutSite[] = [];
  graph: Graph | undefined;
  readonly #inputs: { readonly rows: Value; readonly columns: Value }[] = [];
  #replay: { readonly rows: Value; readonly columns: Value }[] | undefined;

  constructor(rate: number) {
    this.rate = rate;
  }

  next(rows: number, columns: number): { readonly rows: Value; readonly columns: Value } {
    const again = this.#replay?.shift();
    if (again !== undefined) return again;
    const names = dropoutNames(this.list.length);
    const inputs = {
      rows: this.graph!.input(names.rows, 'float32', [rows, 1]),
      columns: this.graph!.input(names.columns, 'float32', [1, columns]),
    };
    this.list.push({ rows, columns });
    this.#inputs.push(inputs);
    return inputs;
  }

  replayed(build: Build): Build {
    let range: readonly [from: number, to: number] | undefined;
    return (inputs) => {
      const from = this.list.length;
      if (range !== undefined) this.#replay = this.#inputs.slice(...range);
      const y = build(inputs);
      this.#replay = undefined;
      range ??= [from, this.list.length];
      return y;
    };
  }
}
