import { describe, expect, it } from 'vitest';
import { floatsOf, floatTensor, scalarTensor } from '../../../src/ml/engine/session.ts';
import type { ParameterSpec } from '../../../src/ml/tensor/parameters.ts';
import {
  decayOf,
  type InnerOptimizer,
  type Rule,
  updateGraph,
  updateScalars,
} from '../../../src/ml/training/optimizer.ts';
import { scheduleFactor } from '../../../src/ml/training/schedule.ts';
import { formula, models, reference, relativeError, runOnce, unpackFloats } from '../models/reference.ts';

const adam = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
const muon: InnerOptimizer = { kind: 'muon', rate: 0.02, momentum: 0.95, adamRate: 0.01, ...adam };
const matrix = (shape: readonly number[], more: Partial<ParameterSpec> = {}): ParameterSpec => ({
  name: 'w',
  shape,
  initial: 'zeros',
  role: 'matrix',
  ...more,
});
/** Runs one update with its scalars at the top of the schedule. */
async function update(
  optimizer: InnerOptimizer,
  rule: Rule,
  shape: readonly number[],
  spec: ParameterSpec,
  arrays: Readonly<Record<string, Float32Array>>,
  age = 1,
) {
  const scalars = updateScalars(optimizer, rule, decayOf(optimizer, spec), 1, 1, age);
  const results = await runOnce(updateGraph(optimizer, rule, shape, spec), {
    ...Object.fromEntries(Object.entries(arrays).map(([name, data]) => [name, floatTensor(data, shape)])),
    ...Object.fromEntries(Object.entries(scalars).map(([name, x]) => [name, scalarTensor(x)])),
  });
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, floatsOf(tensor)]));
}

describe('Muon', () => {
  it('takes PyTorch’s step on a wide and a tall matrix', async () => {
    for (const { shape, weight, momentum } of reference.muon) {
      const arrays = { parameter: formula(60, 1), momentum: formula(60, 2), gradient: formula(60, 3) };
      const next = await update(muon, 'muon', [1, ...shape], matrix(shape), arrays);
      expect(relativeError(next['next:momentum']!, unpackFloats(momentum))).toBeLessThan(1e-6);
      expect(relativeError(next['next:parameter']!, unpackFloats(weight))).toBeLessThan(1e-4);
    }
  });

  it('takes the same step on matrices together as on each alone', async () => {
    const parts = [3, 5].map((k) => ({
      parameter: formula(60, 1),
      momentum: formula(60, 2),
      gradient: formula(60, k),
    }));
    const alone = await Promise.all(parts.map((part) => update(muon, 'muon', [1, 6, 10], matrix([6, 10]), part)));
    const stacked = Object.fromEntries(
      ['parameter', 'momentum', 'gradient'].map((kind) => [
        kind,
        Float32Array.from(parts.flatMap((part) => [...part[kind as keyof typeof part]])),
      ]),
    );
    const together = await update(muon, 'muon', [2, 6, 10], matrix([6, 10]), stacked);
    const expected = Float32Array.from(alone.flatMap((next) => [...next['next:parameter']!]));
    expect(relativeError(together['next:parameter']!, expected)).toBeLessThan(1e-5);
  });

  it('orthogonalizes q, k and v each on its own', async () => {
    const gradient = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * i));
    const zeros = new Float32Array(48);
    const plain: InnerOptimizer = { ...muon, rate: 1, momentum: 0, weightDecay: 0 };
    const spec = matrix([4, 12], { columnBlocks: 3 });
    const next = await update(plain, 'muon', [1, 4, 12], spec, { parameter: zeros, momentum: zeros, gradient });
    // Each 4 × 4 block is near orthogonal, so its squared norm is near 4; together as one matrix it would be 4 in all.
    for (const block of [0, 1, 2]) {
      const inBlock = (i: number): boolean => Math.floor((i % 12) / 4) === block;
      const squared = next['next:parameter']!.reduce((sum, v, i) => (inBlock(i) ? sum + v * v : sum), 0);
      expect(squared).toBeGreaterThan(2);
      expect(squared).toBeLessThan(6);
    }
  });

  it('scales by √(out / in) in either layout', async () => {
    const gradient = formula(60, 3);
    const zeros = new Float32Array(60);
    const plain: InnerOptimizer = { ...muon, rate: 1, momentum: 0, weightDecay: 0 };
    const norm = async (layout: 'in-out' | 'out-in'): Promise<number> => {
      const arrays = { parameter: zeros, momentum: zeros, gradient };
      const next = await update(plain, 'muon', [1, 6, 10], matrix([6, 10], { layout }), arrays);
      return Math.hypot(...next['next:parameter']!);
    };
    expect((await norm('in-out')) / (await norm('out-in'))).toBeCloseTo(Math.sqrt(10 / 6), 4);
  });
});

describe('SGD', () => {
  it('takes the steps of torch.optim.SGD with Nesterov momentum, and decays apart from them', async () => {
    const { rate, momentum, weightDecay, parameters } = models.sgd;
    const sgd: InnerOptimizer = { kind: 'sgd', rate, momentum, nesterov: true, weightDecay };
    const wave = (factor: number, k: number) =>
      Float32Array.from({ length: 12 }, (_, i) => 0.2 * (((factor * i + k) % 2) - 1));
    let state: Record<'parameter' | 'momentum', Float32Array> = {
      parameter: wave(0.7, 0),
      momentum: new Float32Array(12),
    };
    for (let k = 0; k < 3; k++) {
      const next = await update(sgd, 'sgd', [12], matrix([12]), { ...state, gradient: wave(0.3, k) });
      state = { parameter: next['next:parameter']!, momentum: next['next:momentum']! };
    }
    expect(relativeError(state.parameter, unpackFloats(parameters))).toBeLessThan(1e-5);
  });
});

describe('weight decay', () => {
  it('leaves biases and norms out, or is what each group says', () => {
    const spec = (role: ParameterSpec['role']) => matrix([2, 2], { role });
    expect(['matrix', 'embedding', 'kernel', 'vector'].map((r) => decayOf(muon, spec(r as 'matrix')))).toEqual([
      0.1, 0.1, 0.1, 0,
    ]);
    const groups: InnerOptimizer = { ...muon, weightDecay: { matrix: 0.2, vector: 0.3 } };
    expect(['matrix', 'embedding', 'vector'].map((r) => decayOf(groups, spec(r as 'matrix')))).toEqual([0.2, 0, 0.3]);
  });
});

describe('schedule', () => {
  const at = (schedule: Parameters<typeof scheduleFactor>[0], ...steps: readonly number[]): readonly number[] =>
    steps.map((step) => Number(scheduleFactor(schedule, step).toFixed(4)));

  it('warms up linearly, then falls to its floor along half a cosine', () => {
    const schedule = { warmUpSteps: 10, totalSteps: 110, finalShare: 0.1 };
    expect(at(schedule, 1, 5, 10, 60, 110, 500)).toEqual([0.1, 0.5, 1, 0.55, 0.1, 0.1]);
  });

  it('stays after the warm-up when it is constant', () => {
    const schedule = { shape: 'constant', warmUpSteps: 10, totalSteps: 110, finalShare: 0.1 } as const;
    expect(at(schedule, 5, 11, 110, 500)).toEqual([0.5, 1, 1, 1]);
  });

  it('stays, and falls linearly over the last part (warm-up-stable-decay)', () => {
    const schedule = { shape: 'wsd', warmUpSteps: 10, totalSteps: 100, finalShare: 0, decayShare: 0.2 } as const;
    expect(at(schedule, 5, 50, 80, 90, 100, 200)).toEqual([0.5, 1, 1, 0.5, 0, 0]);
  });
});
