import type { ModelConfig } from '../src/ml/models/model.ts';

/** A model that both sides of `npm run bench engine` train. */
export interface Work {
  readonly name: string;
  readonly model: ModelConfig;
  readonly batch: number;
  /** Steps in one round. */
  readonly steps: number;
  readonly target: number;
}

export const WORKS: readonly Work[] = [
  {
    name: 'gpt2-3.4m',
    model: { architecture: 'gpt2', layers: 4, width: 256, heads: 8, contextLength: 256, vocabularySize: 512 },
    batch: 8,
    steps: 8,
    target: 1.2,
  },
  {
    name: 'gpt2-29m',
    model: { architecture: 'gpt2', layers: 8, width: 512, heads: 8, contextLength: 512, vocabularySize: 8192 },
    batch: 4,
    steps: 2,
    target: 1.2,
  },
  {
    name: 'llama-15m',
    model: {
      architecture: 'llama',
      layers: 8,
      width: 384,
      heads: 6,
      keyValueHeads: 6,
      hiddenWidth: 1024,
      tied: true,
      ropeTheta: 10_000,
      normEpsilon: 1e-5,
      contextLength: 256,
      vocabularySize: 4096,
    },
    batch: 8,
    steps: 2,
    target: 1.2,
  },
  {
    name: 'mlp',
    model: { architecture: 'mlp', inputs: 784, hidden: [512, 512], outputs: 10, task: 'classification' },
    batch: 256,
    steps: 40,
    target: 1,
  },
  {
    name: 'cnn',
    model: { architecture: 'cnn', channels: 1, height: 28, width: 28, stages: [32, 64], outputs: 10 },
    batch: 64,
    steps: 20,
    target: 1,
  },
];
