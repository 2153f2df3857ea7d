import { HelioError } from '../../errors.ts';
import { globalAveragePool, groupNorm, maxPool2 } from '../engine/functions.ts';
import type { Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import type { ExampleFamily } from './family.ts';
import type { ForwardPass } from './forward-pass.ts';

/**
 * A small convolutional network for images: stages of convolution (3 × 3), group normalization, ReLU and max pooling
 * (2 × 2), then the mean of each channel and a linear head. Group normalization does not look at the batch, so islands
 * with different data agree about it (Hsieh et al., arXiv 1910.00189). Its weights have the names and layout of a
 * PyTorch module with the lists `conv`, `norm` and the layer `head`.
 */
export interface CnnConfig {
  readonly architecture: 'cnn';
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Channels after each stage; each stage halves height and width. */
  readonly stages: readonly number[];
  readonly outputs: number;
}

const GROUP_NORM_EPSILON = 1e-5;
/** Channels that are normalized together. */
const CHANNELS_PER_GROUP = 8;

const groupsOf = (channels: number): number => Math.max(1, Math.floor(channels / CHANNELS_PER_GROUP));

/** @throws HelioError HELIO-1002 when the sizes do not fit together */
export function checkCnn({ height, width, stages }: CnnConfig): void {
  const factor = 2 ** stages.length;
  if (height % factor !== 0 || width % factor !== 0) {
    throw new HelioError(
      'HELIO-1002',
      `Images of ${height} × ${width} cannot be halved ${stages.length} times.`,
      `Use fewer stages in model.stages, or images whose sides are multiples of ${factor}.`,
    );
  }
  const odd = stages.find((channels) => channels % groupsOf(channels) !== 0);
  if (odd !== undefined) {
    throw new HelioError(
      'HELIO-1002',
      `A stage of ${odd} channels does not divide into groups of ${CHANNELS_PER_GROUP}.`,
      `Choose multiples of ${CHANNELS_PER_GROUP} in model.stages.`,
    );
  }
}

export function cnnParameters({ channels, stages, outputs }: CnnConfig): readonly ParameterSpec[] {
  return [
    ...stages.flatMap((to, i): readonly ParameterSpec[] => {
      const from = i === 0 ? channels : stages[i - 1]!;
      const initial = { normal: Math.sqrt(2 / (9 * from)) };
      return [
        { name: `conv.${i}.weight`, shape: [to, from, 3, 3], initial, role: 'kernel' },
        { name: `norm.${i}.weight`, shape: [to], initial: 'ones', role: 'vector' },
        { name: `norm.${i}.bias`, shape: [to], initial: 'zeros', role: 'vector' },
      ];
    }),
    {
      name: 'head.weight',
      shape: [outputs, stages.at(-1)!],
      initial: { normal: Math.sqrt(1 / stages.at(-1)!) },
      role: 'embedding',
      layout: 'out-in',
    },
    { name: 'head.bias', shape: [outputs], initial: 'zeros', role: 'vector' },
  ];
}

/** @param images float32 [batch, channels, height, width] @returns logits [batch, outputs] */
export function cnnLogits(pass: ForwardPass, config: CnnConfig, images: Value): Value {
  const { g, parameter } = pass;
  let x = images;
  config.stages.forEach((channels, i) => {
    x = g.segment('block', [x], ([input]) => {
      const convolved = g.one('Conv', [input!, parameter(`conv.${i}.weight`)]);
      const [scale, bias] = [parameter(`norm.${i}.weight`), parameter(`norm.${i}.bias`)];
      const normalized = groupNorm(g, convolved, scale, bias, groupsOf(channels), GROUP_NORM_EPSILON);
      return maxPool2(g, g.one('Relu', [normalized]));
    });
  });
  return pass.dense(pass.dropout(globalAveragePool(g, x)), 'head');
}

/** Its `config.json` is our own; docs/models.md shows how PyTorch loads the weights. */
export const cnn: ExampleFamily<CnnConfig> = {
  kind: 'examples',
  title: 'convolutional network',
  modelType: 'heliotrope-cnn',
  check: checkCnn,
  parameters: cnnParameters,
  outputs: cnnLogits,
  inputShape: ({ channels, height, width }, batch) => [batch, channels, height, width],
  huggingFaceConfig: (config) => ({
    num_channels: config.channels,
    image_height: config.height,
    image_width: config.width,
    hidden_sizes: config.stages,
    channels_per_group: CHANNELS_PER_GROUP,
    norm_eps: GROUP_NORM_EPSILON,
    num_labels: config.outputs,
  }),
  readConfig(config) {
    config.expect('channels_per_group', [CHANNELS_PER_GROUP]);
    config.expect('norm_eps', [GROUP_NORM_EPSILON]);
    return {
      architecture: 'cnn',
      channels: config.size('num_channels'),
      height: config.size('image_height'),
      width: config.size('image_width'),
      stages: config.sizes('hidden_sizes'),
      outputs: config.size('num_labels'),
    };
  },
};
