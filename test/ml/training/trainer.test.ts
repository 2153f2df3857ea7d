import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/ml/data/batches.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { loadAdapter } from '../../../src/ml/models/adapter.ts';
import { loadWeights } from '../../../src/ml/models/hugging-face.ts';
import type { LanguageConfig } from '../../../src/ml/models/model.ts';
import type { ParameterArrays } from '../../../src/ml/tensor/parameters.ts';
import { Trainer, type TrainerOptions } from '../../../src/ml/training/trainer.ts';
import {
  FIXTURES,
  ids,
  reference,
  referenceModel,
  referenceParameters,
  relativeError,
  unpackFloats,
} from '../models/reference.ts';

const context = referenceModel.contextLength;
const rows = (from: number, to: number): Batch => ({
  input: ids(reference.tokens).slice(from * context, to * context),
  shape: [to - from, context],
  targets: ids(reference.targets).slice(from * context, to * context),
  targetShape: [(to - from) * context],
  weights: new Float32Array((to - from) * context).fill(1),
  count: (to - from) * context,
});
const batch = rows(0, 2);
const adam = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
const options: TrainerOptions = {
  runtime: nodeRuntime(),
  model: referenceModel,
  optimizer: { kind: 'adamw', rate: reference.adamw.rate, ...adam },
  schedule: { warmUpSteps: 0, totalSteps: 10, finalShare: 1 },
  batchSize: reference.batch,
  clipNorm: reference.adamw.clipNorm,
  threads: 1,
};
const muon: TrainerOptions = {
  ...options,
  optimizer: { kind: 'muon', rate: 0.02, momentum: 0.95, adamRate: 0.01, ...adam },
};
const sgd: TrainerOptions = {
  ...options,
  optimizer: { kind: 'sgd', rate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.1 },
};
const create = (more: Partial<TrainerOptions> = {}, parameters: ParameterArrays = referenceParameters()) =>
  Trainer.create({ ...options, ...more }, parameters);
const all = async (trainer: Trainer): Promise<Float32Array> => {
  const packed = new Float32Array(trainer.specs.reduce((sum, s) => sum + s.shape.reduce((a, b) => a * b, 1), 0));
  await trainer.read(
    trainer.specs.map((s) => s.name),
    packed,
  );
  return packed;
};
/** Where three steps lead. */
const threeSteps = async (more: Partial<TrainerOptions>, ...batches: readonly Batch[]): Promise<Float32Array> => {
  const trainer = await create(more);
  for (let i = 0; i < 3; i++) await trainer.step(...(batches.length === 0 ? [batch] : batches));
  const parameters = await all(trainer);
  await trainer.release();
  return parameters;
};

describe('Trainer', () => {
  it.each([1, 2])('takes the steps of PyTorch’s AdamW with clipping, on %i threads', async (threads) => {
    const trainer = await create({ threads });
    for (const [i, loss] of reference.adamw.losses.entries()) {
      const result = await trainer.step(batch);
      expect(result.loss).toBeCloseTo(loss, 4);
      expect(result.gradNorm / reference.adamw.gradNorms[i]!).toBeCloseTo(1, 4);
    }
    // The key bias has no gradient (softmax does not see it), so Adam scales rounding noise there: it is left out.
    const names = Object.keys(reference.adamw.parameters).filter((name) => !name.endsWith('c_attn.bias'));
    for (const name of names) {
      const mine = (await trainer.read([name])).get(name)!;
      expect([name, relativeError(mine, unpackFloats(reference.adamw.parameters[name]!)) < 1e-3]).toEqual([name, true]);
    }
    await trainer.release();
  });

  it.each([
    ['AdamW', options],
    ['Muon', muon],
    ['SGD', sgd],
  ] as const)('goes on from a saved state to the same bits (%s)', async (_, choice) => {
    const straight = await create(choice);
    for (let i = 0; i < 4; i++) await straight.step(batch);
    const first = await create(choice);
    for (let i = 0; i < 2; i++) await first.step(batch);
    const second = await create(choice);
    await second.load(structuredClone(await first.save()));
    for (let i = 0; i < 2; i++) await second.step(batch);
    expect(await second.save()).toEqual(await straight.save());
  });

  it('changes nothing, and breaks nothing, at a rate of zero', async () => {
    const trainer = await create({ schedule: { warmUpSteps: 0, totalSteps: 1, finalShare: 0 } });
    await trainer.step(batch);
    for (const [name, data] of referenceParameters()) {
      expect(relativeError((await trainer.read([name])).get(name)!, data)).toBeLessThan(1e-6);
    }
  });

  it('does not change the arrays that it was given', async () => {
    const given = referenceParameters();
    const trainer = await create({}, given);
    await trainer.step(batch);
    expect(given).toEqual(referenceParameters());
  });

  it('evaluates the global parameters and not its own, once there are some', async () => {
    const trainer = await create();
    const before = await trainer.evaluate([batch]);
    await trainer.step(batch);
    expect((await trainer.evaluate([batch])).lossSum).toBeLessThan(before.lossSum);
    await trainer.write(referenceParameters());
    await trainer.step(batch);
    expect(await trainer.evaluate([batch])).toEqual(before);
    await trainer.write(await trainer.read(trainer.specs.map((s) => s.name)));
    expect((await trainer.evaluate([batch])).lossSum).toBeLessThan(before.lossSum);
    expect(before.lossSum / before.tokens).toBeCloseTo(reference.loss, 4);
  });

  it('mixes in a merged fragment by the share of its own that it keeps', async () => {
    const trainer = await create();
    const name = 'transformer.ln_f.weight';
    const own = (await trainer.read([name])).get(name)!.slice();
    await trainer.write(new Map([[name, new Float32Array(own.length).fill(1)]]), { kind: 'share', share: 0.25 });
    expect([...(await trainer.read([name])).get(name)!]).toEqual([...own.map((x) => Math.fround(0.25 * x + 0.75))]);
  });

  it('keeps how far it moved on top of a merged fragment, and where it did not move has exactly that', async () => {
    const trainer = await create();
    const name = 'transformer.ln_f.weight';
    const own = (await trainer.read([name])).get(name)!.slice();
    const merged = own.map((_, i) => 0.1 * i);
    const from = own.map((x, i) => (i === 0 ? x - 0.5 : x));
    await trainer.write(new Map([[name, merged]]), { kind: 'moved', from: new Map([[name, from]]) });
    const [first, ...rest] = (await trainer.read([name])).get(name)!;
    expect(first).toBeCloseTo(0.5, 6);
    expect(rest).toEqual([...merged.subarray(1)]);
  });

  it('reads parameters of one moment while it trains', async () => {
    const trainer = await create();
    const name = 'transformer.wte.weight';
    const alone = await create();
    const boundaries = [(await alone.read([name])).get(name)!.slice()];
    for (let i = 0; i < 3; i++) {
      await alone.step(batch);
      boundaries.push((await alone.read([name])).get(name)!.slice());
    }
    // All asked for at once: a read falls between two steps, never into one.
    const [a, , b, , , c] = await Promise.all([
      trainer.read([name]),
      trainer.step(batch),
      trainer.read([name]),
      trainer.step(batch),
      trainer.step(batch),
      trainer.read([name]),
    ]);
    expect([a, b, c].map((read) => read.get(name))).toEqual([boundaries[0], boundaries[1], boundaries[3]]);
  });

  it('takes the same step in micro-batches as in one', async () => {
    const whole = await threeSteps({});
    const parts = await threeSteps({ batchSize: 1, microBatches: 2 }, rows(0, 1), rows(1, 2));
    expect(relativeError(parts, whole)).toBeLessThan(1e-5);
  });

  it('weighs micro-batches by the targets that count', async () => {
    const padded = (part: Batch, counted: number): Batch => {
      const weights = part.weights.map((_, i) => (i < counted ? 1 : 0));
      return { ...part, weights, count: counted };
    };
    const [first, second] = [padded(rows(0, 1), 2), padded(rows(1, 2), 7)];
    const weights = Float32Array.from([...first.weights, ...second.weights]);
    const whole = await threeSteps({}, { ...batch, weights, count: 9 });
    const parts = await threeSteps({ batchSize: 1, microBatches: 2 }, first, second);
    expect(relativeError(parts, whole)).toBeLessThan(1e-5);
  });

  it('takes no notice of what stands at places that do not count', async () => {
    const weights = batch.weights.map((_, i) => (i % 3 === 0 ? 0 : 1));
    const masked: Batch = { ...batch, weights, count: weights.reduce((a, b) => a + b, 0) };
    const other: Batch = {
      ...masked,
      targets: (masked.targets as BigInt64Array).map((t, i) => (i % 3 === 0 ? (t + 5n) % 32n : t)),
    };
    expect(await threeSteps({}, other)).toEqual(await threeSteps({}, masked));
  });

  it('computes the same with activations computed again, also where some are dropped', async () => {
    const dropped = { dropout: 0.3, seed: 7 };
    expect(relativeError(await threeSteps({ recompute: true }), await threeSteps({}))).toBeLessThan(1e-6);
    expect(relativeError(await threeSteps({ ...dropped, recompute: true }), await threeSteps(dropped))).toBeLessThan(
      1e-6,
    );
  });

  it('drops the same activations for the same seed and step, and others for another', async () => {
    const [a, b, other, none] = [
      await threeSteps({ dropout: 0.3, seed: 7 }),
      await threeSteps({ dropout: 0.3, seed: 7 }),
      await threeSteps({ dropout: 0.3, seed: 8 }),
      await threeSteps({}),
    ];
    expect(a).toEqual(b);
    expect(relativeError(other, a)).toBeGreaterThan(1e-3);
    expect(relativeError(none, a)).toBeGreaterThan(1e-3);
  });

  it('pulls towards the parameters last written from outside with a proximal term (FedProx)', async () => {
    const plain = { kind: 'sgd', rate: 0.1, momentum: 0, nesterov: false, weightDecay: 0 } as const;
    const stepsLeadTo = async (steps: number, proximal: number): Promise<Float32Array> => {
      const trainer = await create({ optimizer: { ...plain, proximal } });
      for (let i = 0; i < steps; i++) await trainer.step(batch);
      const packed = await all(trainer);
      await trainer.release();
      return packed;
    };
    const anchor = await stepsLeadTo(0, 0);
    const first = await stepsLeadTo(1, 0);
    // At the anchor there is no pull; one step on it is μ (θ − anchor), which the rate of 0.1 takes back.
    expect(await stepsLeadTo(1, 0.5)).toEqual(first);
    const [free, pulled] = [await stepsLeadTo(2, 0), await stepsLeadTo(2, 0.5)];
    for (let i = 0; i < free.length; i++)
      expect(pulled[i]! - free[i]!).toBeCloseTo(-0.1 * 0.5 * (first[i]! - anchor[i]!), 5);
  });

  it('moves less far from there with every inner optimizer the stronger the pull', async () => {
    const start = await threeSteps({
      schedule: { warmUpSteps: 0, totalSteps: 10, finalShare: 0, shape: 'constant' },
      optimizer: { ...options.optimizer, rate: 1e-30 },
    });
    for (const { optimizer } of [options, muon, sgd]) {
      const far = async (proximal: number): Promise<number> =>
        Math.hypot(
          ...(await threeSteps({ optimizer: { ...optimizer, weightDecay: 0, proximal } })).map((x, i) => x - start[i]!),
        );
      expect(await far(3)).toBeLessThan(0.9 * (await far(0)));
    }
  });

  it('goes on with the same dropped activations from a saved state', async () => {
    const dropped = { dropout: 0.3, seed: 7 };
    const first = await create(dropped);
    await first.step(batch);
    const second = await create(dropped);
    await second.load(structuredClone(await first.save()));
    for (let i = 0; i < 2; i++) await second.step(batch);
    expect(await all(second)).toEqual(await threeSteps(dropped));
  });

  it('computes nearly the same in float16, with the loss scaled', async () => {
    const trainer = await create({ precision: 'float16' });
    const exact = await create();
    for (let i = 0; i < 3; i++) {
      const [half, full] = [await trainer.step(batch), await exact.step(batch)];
      expect(half.skipped).toBe(false);
      expect(half.loss).toBeCloseTo(full.loss, 2);
      expect(half.gradNorm / full.gradNorm).toBeCloseTo(1, 1);
    }
    expect((await trainer.save()).lossScale).toBe(2 ** 15);
  });

  it('halves the loss scale where float16 overflows, and leaves the parameters as they were', async () => {
    const trainer = await create({ precision: 'float16' });
    const state = await trainer.save();
    await trainer.load({ ...state, lossScale: 2 ** 40 });
    const before = (await all(trainer)).slice();
    const result = await trainer.step(batch);
    expect(result).toMatchObject({ skipped: true, tokens: 0 });
    expect(await all(trainer)).toEqual(before);
    expect((await trainer.save()).lossScale).toBe(2 ** 39);
  });

  it('skips a step whose gradient is not finite, keeps parameters and moments, and gives up after ten in a row', async () => {
    const trainer = await create();
    await trainer.step(batch);
    const good = structuredClone(await trainer.save());
    const broken = new Map([['transformer.ln_f.weight', new Float32Array(referenceModel.width).fill(Number.NaN)]]);
    const before = await trainer.read(['transformer.ln_f.weight']);
    await trainer.write(broken);
    expect(await trainer.step(batch)).toMatchObject({ skipped: true, tokens: 0 });
    await trainer.write(before);
    const { parameters, moments } = await trainer.save();
    expect({ parameters, moments }).toEqual({ parameters: good.parameters, moments: good.moments });
    expect(await trainer.step(batch)).toMatchObject({ skipped: false });
    await trainer.write(broken);
    for (let i = 0; i < 9; i++) await trainer.step(batch);
    await expect(trainer.step(batch)).rejects.toThrow(
      /Training diverged: 10 steps in a row up to step 13 .*loss NaN.*Lower inner\.rate/s,
    );
  });

  it('trains adapters alone, and leaves their base as it is', async () => {
    const base = loadWeights(`${FIXTURES}/transformers-gpt2`);
    const adapter = loadAdapter(`${FIXTURES}/peft-gpt2`, base.model as LanguageConfig);
    const parameters = new Map([...base.parameters, ...adapter.parameters]);
    const tokens = Array.from({ length: 24 }, (_, i) => (7 * i) % 48);
    const data: Batch = {
      input: ids(tokens),
      shape: [2, 12],
      targets: ids(tokens.map((t) => (t + 7) % 48)),
      targetShape: [24],
      weights: new Float32Array(24).fill(1),
      count: 24,
    };
    const before = structuredClone(base.parameters);
    const trainer = await Trainer.create({ ...options, model: adapter.model, clipNorm: 10 }, parameters);
    const losses = [];
    for (let i = 0; i < 20; i++) losses.push((await trainer.step(data)).loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 1);
    expect(trainer.specs).toHaveLength(8);
    expect(base.parameters).toEqual(before);
  });
});
