import { expect, it } from 'vitest';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { type MlpConfig, mlpParameters } from '../../../src/ml/models/mlp.ts';
import { inOwnUnits } from '../../../src/ml/models/own-units.ts';
import { initializeParameters } from '../../../src/ml/tensor/parameters.ts';
import { Trainer } from '../../../src/ml/training/trainer.ts';

const model: MlpConfig = { architecture: 'mlp', inputs: 3, hidden: [5, 4], outputs: 2, task: 'regression' };
const parameters = initializeParameters(mlpParameters(model), 1);
const features = Float32Array.of(0.5, -1, 2, 1, 1, -0.25);

/** Independent of the engine: y = W₂ relu(W₁ relu(W₀ x)). */
function predictions(of: ReadonlyMap<string, Float32Array>): number[] {
  return [0, 1].flatMap((row) => {
    let x = [...features.subarray(3 * row, 3 * row + 3)];
    for (const layer of [0, 2, 4]) {
      const [weight, bias] = [of.get(`${layer}.weight`)!, of.get(`${layer}.bias`)!];
      const wide = x.length;
      x = Array.from(bias, (b, i) => x.reduce((sum, xj, j) => sum + weight[i * wide + j]! * xj, b));
      if (layer < 4) x = x.map((value) => Math.max(0, value));
    }
    return x;
  });
}

it('gives predictions back in the units of each target', () => {
  const scaling = { mean: [7, -2e5], deviation: [3, 1e5] };
  const [scaled, own] = [predictions(parameters), predictions(inOwnUnits(model, parameters, scaling))];
  scaled.forEach((y, i) => {
    const [mean, deviation] = [scaling.mean[i % 2]!, scaling.deviation[i % 2]!];
    expect((own[i]! - mean) / deviation).toBeCloseTo(y, 5);
  });
});

it('the loss of a regression is the mean over rows and outputs of the squared error', async () => {
  const targets = Float32Array.of(1, 2, 3, 4);
  const weights = Float32Array.of(1, 1);
  const batch = { input: features, shape: [2, 3], targets, targetShape: [2, 2], weights, count: 2 };
  const trainer = await Trainer.create(
    {
      model,
      optimizer: { kind: 'sgd', rate: 0.1, weightDecay: 0, proximal: 0, momentum: 0, nesterov: false },
      schedule: { shape: 'constant', warmUpSteps: 0, totalSteps: 1, finalShare: 1, decayShare: 0 },
      batchSize: 2,
      clipNorm: 1e9,
      seed: 1,
      runtime: nodeRuntime(),
      threads: 1,
    },
    parameters,
  );
  const { lossSum, tokens } = await trainer.evaluate([batch]);
  await trainer.release();
  const expected = predictions(parameters).reduce((sum, y, i) => sum + (y - targets[i]!) ** 2, 0) / 4;
  expect(lossSum / tokens).toBeCloseTo(expected, 5);
});
