import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { floatTensor } from '../../../src/ml/engine/session.ts';
import { checkCnn } from '../../../src/ml/models/cnn.ts';
import { decoder } from '../../../src/ml/models/decoder.ts';
import { loadWeights, saveWeights } from '../../../src/ml/models/hugging-face.ts';
import type { LlamaConfig } from '../../../src/ml/models/llama.ts';
import { inputShapeOf, type ModelConfig, parametersOf } from '../../../src/ml/models/model.ts';
import { compute, disagreeing, models, relativeError, unpackFloats } from './reference.ts';

const mlp: ModelConfig = { architecture: 'mlp', inputs: 10, hidden: [12, 8], outputs: 5, task: 'classification' };
const cnn: ModelConfig = { architecture: 'cnn', channels: 2, height: 8, width: 12, stages: [8, 16], outputs: 5 };

describe.each([
  ['mlp', mlp],
  ['cnn', cnn],
] as const)('%s against PyTorch', (name, model) => {
  const expected = models[name];
  const parameters = new Map(Object.entries(expected.parameters).map(([key, packed]) => [key, unpackFloats(packed)]));

  it('has the parameters of the PyTorch module, in its layout', () => {
    expect(
      parametersOf(model)
        .map((spec) => spec.name)
        .sort(),
    ).toEqual(Object.keys(expected.parameters).sort());
  });

  it('computes the same logits, the same smoothed loss and the same gradients', async () => {
    const input = floatTensor(unpackFloats(expected.inputs), inputShapeOf(model, 4));
    const { logits, loss, gradient } = await compute(model, parameters, input, expected.labels, 0.1);
    expect(relativeError(logits, unpackFloats(expected.logits))).toBeLessThan(1e-5);
    expect(loss).toBeCloseTo(expected.smoothedLoss, 5);
    expect(disagreeing(gradient, expected.gradients)).toEqual([]);
  });

  it('comes back from its folder as it was', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-models-'));
    saveWeights(folder, { model, parameters });
    expect(loadWeights(folder)).toEqual({
      model,
      parameters: new Map(parametersOf(model).map(({ name: key }) => [key, parameters.get(key)!])),
    });
  });
});

describe('sizes that do not fit together', () => {
  const llama: LlamaConfig = {
    architecture: 'llama',
    vocabularySize: 64,
    contextLength: 16,
    width: 24,
    layers: 1,
    heads: 4,
    keyValueHeads: 2,
    hiddenWidth: 32,
    tied: true,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
  };
  it.each([
    [
      'heads of an odd width',
      () => decoder.check({ ...llama, heads: 8 }),
      /width 24 does not divide into model\.heads 8 of an even width.*1, 2, 4/,
    ],
    [
      'key heads that do not divide',
      () => decoder.check({ ...llama, keyValueHeads: 3 }),
      /heads 4 is no multiple of model\.keyValueHeads 3/,
    ],
    [
      'images that cannot be halved',
      () => checkCnn({ ...cnn, height: 6 } as never),
      /6 × 12 cannot be halved 2 times.*multiples of 4/,
    ],
    ['channels that make no groups', () => checkCnn({ ...cnn, stages: [8, 17] } as never), /stage of 17 channels/],
  ])('are refused: %s', (_, check, message) => {
    expect(check).toThrow(message);
  });
});
