import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { ExampleFamily } from './family.ts';
import type { ForwardPass } from './forward-pass.ts';

/**
 * A multilayer perceptron with ReLU, for tables and small images. Its weights have the names and layout of
 * `torch.nn.Sequential(Linear, ReLU, Linear, ReLU, …, Linear)`.
 */
export interface MlpConfig {
  readonly architecture: 'mlp';
  /** Numbers in one example; an image is laid out flat. */
  readonly inputs: number;
  readonly hidden: readonly number[];
  /** Classes, or numbers to predict. */
  readonly outputs: number;
  readonly task: 'classification' | 'regression';
}

export function mlpParameters({ inputs, hidden, outputs }: MlpConfig): readonly ParameterSpec[] {
  const widths = [inputs, ...hidden, outputs];
  return widths.slice(1).flatMap((to, i): readonly ParameterSpec[] => {
    const from = widths[i]!;
    // He initialization for ReLU (He et al., arXiv 1502.01852).
    const initial = { normal: Math.sqrt(2 / from) };
    const last = i === widths.length - 2;
    return [
      {
        name: `${2 * i}.weight`,
        shape: [to, from],
        initial: last ? { normal: Math.sqrt(1 / from) } : initial,
        role: last ? 'embedding' : 'matrix',
        layout: 'out-in',
      },
      { name: `${2 * i}.bias`, shape: [to], initial: 'zeros', role: 'vector' },
    ];
  });
}

/** @param features float32 [batch, inputs] @returns [batch, outputs] */
export function mlpOutputs(pass: ForwardPass, config: MlpConfig, features: Value): Value {
  let x = features;
  for (let i = 0; i < config.hidden.length; i++) {
    x = pass.dropout(pass.g.one('Relu', [pass.dense(x, String(2 * i))]));
  }
  return pass.dense(x, String(2 * config.hidden.length));
}

/** Its `config.json` is our own, as `transformers` has no such model; docs/models.md shows how PyTorch loads the weights. */
export const mlp: ExampleFamily<MlpConfig> = {
  kind: 'examples',
  title: 'multilayer perceptron',
  modelType: 'heliotrope-mlp',
  check: () => {},
  parameters: mlpParameters,
  outputs: mlpOutputs,
  inputShape: ({ inputs }, batch) => [batch, inputs],
  huggingFaceConfig: (config) => ({
    num_inputs: config.inputs,
    hidden_sizes: config.hidden,
    num_labels: config.outputs,
    problem_type: config.task,
  }),
  readConfig: (config) => ({
    architecture: 'mlp',
    inputs: config.size('num_inputs'),
    hidden: config.sizes('hidden_sizes'),
    outputs: config.size('num_labels'),
    task: config.text('problem_type', ['classification', 'regression']) as MlpConfig['task'],
  }),
};
