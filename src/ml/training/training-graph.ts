import { differentiate } from '../engine/differentiate.ts';
import { crossEntropy, sumOfSquares } from '../engine/functions.ts';
import { Graph } from '../engine/graph.ts';
import type { Value } from '../engine/ir.ts';
import { type Gpt2Config, gpt2Logits, gpt2Parameters } from '../models/gpt2.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { type InnerOptimizer, momentsOf, type StepScalars, updateParameter } from './optimizer.ts';

/** Names of the scalars that a step feeds: `matrixRate` only where Muon is. */
export const scalarsOf = (optimizer: InnerOptimizer): readonly (keyof StepScalars)[] =>
  optimizer.kind === 'muon'
    ? ['adamRate', 'matrixRate', 'correction1', 'correction2']
    : ['adamRate', 'correction1', 'correction2'];

export interface TrainingGraphOptions {
  readonly batchSize: number;
  readonly optimizer: InnerOptimizer;
  /** Largest global gradient norm; larger ones are scaled down to it (Pascanu et al., arXiv 1211.5063). */
  readonly clipNorm: number;
}

/** Name of a parameter's moment among the graph's inputs and outputs. */
export const momentName = (parameter: string, moment: string): string => `${parameter}:${moment}`;

/** Outputs carry the name of the input that they become in the next step, with this in front. */
export const NEXT = 'next:';

/**
 * Forward, backward, clipping and the optimizer's update as one graph.
 *
 * Inputs: tokens and targets (int64 [batch, context]), the {@link scalarsOf}, every parameter and its moments.
 * Outputs: `loss` and `gradNorm` (scalars, the norm before clipping), and `next:` parameters and moments.
 */
export function trainingGraph(model: Gpt2Config, options: TrainingGraphOptions): Graph {
  const graph = new Graph();
  const specs = gpt2Parameters(model);
  const { loss, parameters } = lossGraph(graph, model, specs, options.batchSize);
  const scalars = Object.fromEntries(
    scalarsOf(options.optimizer).map((name) => [name, graph.input(name, 'float32', [])]),
  );
  const gradients = differentiate(graph, loss, parameters);
  const squares = gradients.map((gradient) => sumOfSquares(graph, gradient));
  const gradNorm = graph.one('Sqrt', [squares.reduce((sum, square) => graph.one('Add', [sum, square]))]);
  const allowed = graph.one('Div', [graph.scalar(options.clipNorm), graph.one('Add', [gradNorm, graph.scalar(1e-6)])]);
  const clip = graph.one('Min', [graph.scalar(1), allowed]);
  graph.output('loss', loss);
  graph.output('gradNorm', gradNorm);
  specs.forEach((spec, i) => {
    const names = momentsOf(options.optimizer, spec).map((moment) => momentName(spec.name, moment));
    const moments = names.map((name) => graph.input(name, 'float32', spec.shape));
    const clipped = graph.one('Mul', [gradients[i]!, clip]);
    const next = updateParameter(
      graph,
      options.optimizer,
      spec,
      parameters[i]!,
      clipped,
      moments,
      scalars as unknown as StepScalars,
    );
    graph.output(NEXT + spec.name, next.parameter);
    next.moments.forEach((moment, j) => {
      graph.output(NEXT + names[j]!, moment);
    });
  });
  return graph;
}

/** Forward pass alone: the mean loss of a batch. */
export function evaluationGraph(model: Gpt2Config, batchSize: number): Graph {
  const graph = new Graph();
  graph.output('loss', lossGraph(graph, model, gpt2Parameters(model), batchSize).loss);
  return graph;
}

/** Forward pass alone: logits [batch · context, vocabulary]. */
export function logitsGraph(model: Gpt2Config, batchSize: number): Graph {
  const graph = new Graph();
  const tokens = graph.input('tokens', 'int64', [batchSize, model.contextLength]);
  const { byName } = parameterInputs(graph, gpt2Parameters(model));
  graph.output('logits', gpt2Logits(graph, model, byName, tokens));
  return graph;
}

/** Loss and raw gradients, for checks against other frameworks. */
export function gradientGraph(model: Gpt2Config, batchSize: number): Graph {
  const graph = new Graph();
  const { loss, parameters } = lossGraph(graph, model, gpt2Parameters(model), batchSize);
  graph.output('loss', loss);
  differentiate(graph, loss, parameters).forEach((gradient, i) => {
    graph.output(`gradient:${parameters[i]!.name}`, gradient);
  });
  return graph;
}

function lossGraph(graph: Graph, model: Gpt2Config, specs: readonly ParameterSpec[], batchSize: number) {
  const shape = [batchSize, model.contextLength];
  const tokens = graph.input('tokens', 'int64', shape);
  const targets = graph.input('targets', 'int64', shape);
  const { parameters, byName } = parameterInputs(graph, specs);
  const logits = gpt2Logits(graph, model, byName, tokens);
  const flat = graph.one('Reshape', [targets], { shape: [batchSize * model.contextLength] });
  return { loss: crossEntropy(graph, logits, flat), parameters };
}

function parameterInputs(graph: Graph, specs: readonly ParameterSpec[]) {
  const parameters: readonly Value[] = specs.map((spec) => graph.input(spec.name, 'float32', spec.shape));
  const index = new Map(parameters.map((value) => [value.name, value]));
  return { parameters, byName: (name: string): Value => index.get(name)! };
}
