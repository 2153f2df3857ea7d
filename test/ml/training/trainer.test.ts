import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/ml/data/batches.ts';
import { Graph } from '../../../src/ml/engine/graph.ts';
import { createSession, floatsOf, floatTensor } from '../../../src/ml/engine/session.ts';
import { updateParameter } from '../../../src/ml/training/optimizer.ts';
import { scheduleFactor } from '../../../src/ml/training/schedule.ts';
import { Trainer, type TrainerOptions } from '../../../src/ml/training/trainer.ts';
import {
  formula,
  ids,
  reference,
  referenceModel,
  referenceParameters,
  relativeError,
  unpackFloats,
} from '../models/reference.ts';

const batch: Batch = {
  tokens: ids(reference.tokens),
  targets: ids(reference.targets),
  shape: [reference.batch, referenceModel.contextLength],
};
const adam = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
const options: TrainerOptions = {
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

describe('Trainer', () => {
  it('takes the steps of PyTorch’s AdamW with clipping', async () => {
    const trainer = await Trainer.create(options, referenceParameters());
    for (const [i, loss] of reference.adamw.losses.entries()) {
      const result = await trainer.step(batch);
      expect(result.loss).toBeCloseTo(loss, 4);
      expect(result.gradNorm / reference.adamw.gradNorms[i]!).toBeCloseTo(1, 4);
    }
    // The key bias has no gradient (softmax does not see it), so Adam scales rounding noise there: it is left out.
    const names = Object.keys(reference.adamw.parameters).filter((name) => !name.endsWith('c_attn.bias'));
    for (const name of names) {
      const mine = trainer.read([name]).get(name)!;
      expect([name, relativeError(mine, unpackFloats(reference.adamw.parameters[name]!)) < 1e-3]).toEqual([name, true]);
    }
    await trainer.release();
  });

  it('takes the step of PyTorch’s Muon on a wide and a tall matrix', async () => {
    for (const { shape, weight, momentum } of reference.muon) {
      const g = new Graph();
      const scalar = (name: string) => g.input(name, 'float32', []);
      const [parameter, buffer, gradient] = ['w', 'm', 'g'].map((name) => g.input(name, 'float32', shape));
      const scalars = {
        adamRate: scalar('a'),
        matrixRate: scalar('r'),
        correction1: scalar('c1'),
        correction2: scalar('c2'),
      };
      const spec = { name: 'w', shape, initial: 'zeros', role: 'matrix' } as const;
      const next = updateParameter(g, muon.optimizer, spec, parameter!, gradient!, [buffer!], scalars);
      g.output('weight', next.parameter);
      g.output('momentum', next.moments[0]!);
      const session = await createSession(g, 'muon', { threads: 1 });
      const feed = (k: number) => floatTensor(formula(60, k), shape);
      const one = floatTensor(Float32Array.of(0.02), []);
      const results = await session.run({ w: feed(1), m: feed(2), g: feed(3), a: one, r: one, c1: one, c2: one });
      expect(relativeError(floatsOf(results.momentum!), unpackFloats(momentum))).toBeLessThan(1e-6);
      expect(relativeError(floatsOf(results.weight!), unpackFloats(weight))).toBeLessThan(1e-4);
      await session.release();
    }
  });

  it('orthogonalizes q, k and v each on its own', async () => {
    const g = new Graph();
    const whole = g.input('g', 'float32', [4, 12]);
    const scalars = {
      adamRate: g.scalar(1),
      matrixRate: g.scalar(1),
      correction1: g.scalar(1),
      correction2: g.scalar(1),
    };
    const optimizer = { ...muon.optimizer, weightDecay: 0, kind: 'muon' as const, momentum: 0, adamRate: 1 };
    const zeros = g.constant(new Float32Array(48), [4, 12]);
    const spec = { name: 'w', shape: [4, 12], initial: 'zeros', role: 'matrix', columnBlocks: 3 } as const;
    g.output('step', updateParameter(g, optimizer, spec, zeros, whole, [zeros], scalars).parameter);
    const session = await createSession(g, 'blocks', { threads: 1 });
    const random = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * i));
    const { step } = await session.run({ g: floatTensor(random, [4, 12]) });
    // Each 4 × 4 block is near orthogonal, so its squared norm is near 4; together as one matrix it would be 4 in all.
    for (const block of [0, 1, 2]) {
      const squared = floatsOf(step!).reduce(
        (sum, v, i) => (Math.floor((i % 12) / 4) === block ? sum + v * v : sum),
        0,
      );
      expect(squared).toBeGreaterThan(2);
      expect(squared).toBeLessThan(6);
    }
    await session.release();
  });

  it.each([
    ['AdamW', options],
    ['Muon', muon],
  ] as const)('goes on from a saved state to the same bits (%s)', async (_, choice) => {
    const straight = await Trainer.create(choice, referenceParameters());
    for (let i = 0; i < 4; i++) await straight.step(batch);
    const first = await Trainer.create(choice, referenceParameters());
    for (let i = 0; i < 2; i++) await first.step(batch);
    const second = await Trainer.create(choice, referenceParameters());
    second.load(structuredClone(first.save()));
    for (let i = 0; i < 2; i++) await second.step(batch);
    expect(second.save()).toEqual(straight.save());
  });

  it('changes nothing, and breaks nothing, at a rate of zero', async () => {
    const schedule = { warmUpSteps: 0, totalSteps: 1, finalShare: 0 };
    const trainer = await Trainer.create({ ...options, schedule }, referenceParameters());
    await trainer.step(batch);
    for (const [name, data] of referenceParameters()) {
      expect(relativeError(trainer.read([name]).get(name)!, data)).toBeLessThan(1e-6);
    }
  });

  it('evaluates the global parameters and not its own', async () => {
    const trainer = await Trainer.create(options, referenceParameters());
    const before = await trainer.evaluate([batch]);
    await trainer.step(batch);
    expect(await trainer.evaluate([batch])).toEqual(before);
    trainer.write(trainer.read(trainer.specs.map((s) => s.name)));
    expect((await trainer.evaluate([batch])).lossSum).toBeLessThan(before.lossSum);
    expect(before.lossSum / before.tokens).toBeCloseTo(reference.loss, 4);
  });

  it('mixes in a merged fragment by the share of its own that it keeps', async () => {
    const trainer = await Trainer.create(options, referenceParameters());
    const name = 'transformer.ln_f.weight';
    const own = trainer.read([name]).get(name)!.slice();
    trainer.write(new Map([[name, new Float32Array(own.length).fill(1)]]), 0.25);
    expect([...trainer.read([name]).get(name)!]).toEqual([...own.map((x) => 0.25 * x + 0.75)]);
  });

  it('keeps parameters and moments as they were when the loss is not finite', async () => {
    const broken = new Map(referenceParameters());
    broken.set('transformer.ln_f.weight', new Float32Array(referenceModel.width).fill(Number.NaN));
    const trainer = await Trainer.create(options, broken);
    const before = trainer.save();
    await expect(trainer.step(batch)).rejects.toThrow(/Training diverged at step 1: loss NaN.*Lower inner\.rate/s);
    expect(trainer.save()).toEqual(before);
  });
});

describe('schedule', () => {
  it('warms up linearly, then falls to its floor along half a cosine', () => {
    const schedule = { warmUpSteps: 10, totalSteps: 110, finalShare: 0.1 };
    expect([1, 5, 10, 60, 110, 500].map((step) => Number(scheduleFactor(schedule, step).toFixed(4)))).toEqual([
      0.1, 0.5, 1, 0.55, 0.1, 0.1,
    ]);
  });
});
