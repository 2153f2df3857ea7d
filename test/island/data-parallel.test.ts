import { expect, it } from 'vitest';
import { fragmentsOf } from '../../src/island/layout.ts';
import { nodeRuntime } from '../../src/ml/engine/node-runtime.ts';
import type { ModelConfig } from '../../src/ml/models/model.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { Trainer } from '../../src/ml/training/trainer.ts';
import { pack, unpack } from '../../src/outer/fragments.ts';
import { contributionOf, mergeFragment } from '../../src/outer/merge.ts';
import { freshFragment } from '../../src/outer/outer-optimizer.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';

const model: ModelConfig = { architecture: 'mlp', inputs: 6, hidden: [10], outputs: 3, task: 'classification' };
const batch = (island: number, step: number) => {
  const random = seededRandom(9, island, step);
  return {
    input: Float32Array.from({ length: 24 }, () => random.normal()),
    shape: [4, 6],
    targets: BigInt64Array.from({ length: 4 }, () => BigInt(random.integer(3))),
    targetShape: [4],
    weights: new Float32Array(4).fill(1),
    count: 4,
  };
};

it('data-parallel is one step on the batches of all, with SGD inside', async () => {
  const initial = initializeParameters(parametersOf(model), 1);
  const trainer = (microBatches: number): Promise<Trainer> =>
    Trainer.create(
      {
        runtime: nodeRuntime(),
        model,
        optimizer: { kind: 'sgd', rate: 0.2, momentum: 0, nesterov: false, weightDecay: 0 },
        schedule: { warmUpSteps: 0, totalSteps: 10, finalShare: 1 },
        batchSize: 4,
        microBatches,
        clipNorm: 1e9,
        threads: 1,
      },
      initial,
    );
  const settings = STRATEGIES['data-parallel']({ islands: 3, steps: 5, inner: 'adamw' });
  const [fragment] = fragmentsOf(model, settings);
  const names = fragment!.tensors.map(({ name }) => name);
  const islands = await Promise.all([0, 1, 2].map(() => trainer(1)));
  const together = await trainer(3);
  let global = freshFragment(pack(fragment!, initial), settings);
  for (let step = 0; step < 5; step++) {
    const contributions = [];
    for (const [m, island] of islands.entries()) {
      await island.step(batch(m, step));
      const own = pack(fragment!, await island.read(names));
      contributions.push(
        contributionOf(
          own.map((x, i) => global.parameters[i]! - x),
          4,
        ),
      );
    }
    global = mergeFragment(fragment!, global, contributions, settings).merged;
    for (const island of islands) await island.write(unpack(fragment!, global.parameters));
    await together.step(...[0, 1, 2].map((m) => batch(m, step)));
  }
  const expected = pack(fragment!, await together.read(names));
  const start = pack(fragment!, initial);
  for (let i = 0; i < expected.length; i++) expect(global.parameters[i]!).toBeCloseTo(expected[i]!, 5);
  expect(Math.hypot(...expected.map((x, i) => x - start[i]!))).toBeGreaterThan(0.1);
  for (const each of [...islands, together]) await each.release();
});
