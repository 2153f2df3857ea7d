import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { average } from '../../src/outer/averaging/index.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { normFactors } from '../../src/outer/norm-bound.ts';
import { freshFragment, outerStep } from '../../src/outer/outer-optimizer.ts';
import { type Averaging, STRATEGIES } from '../../src/outer/settings.ts';
import { federate } from './attackers.ts';

const ROBUST = ['median', 'trimmed-mean', 'krum', 'multi-krum', 'geometric-median'] as const;
const UNBOUNDED = 1e9;

const fragment = (elements: number): Fragment => ({
  index: 0,
  elements,
  tensors: [{ name: 'w', elements, role: 'other' }],
});
const SHAPE = { islands: 4, steps: 100, inner: 'adamw' } as const;
/** The average of θ − θₘ for θ = 0, with equal shares. */
const averaged = (averaging: Averaging, ...islands: readonly (readonly number[])[]): readonly number[] => {
  const elements = islands[0]!.length;
  return [
    ...average(
      fragment(elements),
      islands.map((list) => Float32Array.from(list, (x) => -x)),
      islands.map(() => 1 / islands.length),
      { averaging, faultyShare: 0.25 },
    ),
  ];
};

describe('a quarter of the islands lies', () => {
  const undisturbed = federate({ normBound: UNBOUNDED }, 'none', 0, 12);

  it.each(['sign-flip', 'scaling', 'noise', 'label-flip'] as const)(
    '%s: the mean fails, every robust rule holds',
    (attack) => {
      const loss = (averaging: Averaging): number => federate({ averaging, normBound: UNBOUNDED }, attack, 3, 12);
      expect(loss('mean') / undisturbed).toBeGreaterThan(1.5);
      for (const rule of ROBUST) expect([rule, loss(rule) / undisturbed < 1.15]).toEqual([rule, true]);
    },
  );

  it('a bound on lengths keeps the mean from being carried off', () => {
    const loss = (normBound: number): number => federate({ normBound }, 'scaling', 3, 12);
    expect(loss(UNBOUNDED) / undisturbed).toBeGreaterThan(100);
    expect(loss(2) / undisturbed).toBeLessThan(1.5);
  });

  it('nobody lies: every rule ends near the mean', () => {
    for (const averaging of ROBUST) {
      const ratio = federate({ averaging }, 'none', 0, 12) / undisturbed;
      expect([averaging, ratio < 1.1]).toEqual([averaging, true]);
    }
  });
});

describe('robust rules', () => {
  it('take the median and the trimmed mean of each number', () => {
    expect(averaged('median', [-1, 5], [-2, 4], [-30, -7])).toEqual([2, -4]);
    expect(averaged('median', [-1], [-2], [-4], [-90])).toEqual([3]);
    expect(averaged('trimmed-mean', [-100], [-2], [-4], [50])).toEqual([3]);
  });

  it('take the one island that stands closest to the others (Krum), or all but those far off (Multi-Krum)', () => {
    const [a, b, c, far] = [
      [-1, 0],
      [-1.1, 0],
      [-1, -0.1],
      [50, 50],
    ];
    expect(averaged('krum', far!, a!, b!, c!)).toEqual([1, 0]);
    const [x, y] = averaged('multi-krum', far!, a!, b!, c!);
    expect(x).toBeCloseTo(3.1 / 3, 5);
    expect(y).toBeCloseTo(0.1 / 3, 5);
  });

  it('find the point of the least summed distance', () => {
    // Of four corners of a square and a fifth point far away on its diagonal, it stays in the square.
    const [x, y] = averaged('geometric-median', [-1, -1], [-1, 1], [1, -1], [1, 1], [-100, -100]) as [number, number];
    const cost = (px: number, py: number): number =>
      [
        [1, 1],
        [1, -1],
        [-1, 1],
        [-1, -1],
        [100, 100],
      ].reduce((sum, [qx, qy]) => sum + Math.hypot(px - qx!, py - qy!), 0);
    for (const [dx, dy] of [
      [0.05, 0],
      [-0.05, 0],
      [0, 0.05],
      [0, -0.05],
    ])
      expect(cost(x, y)).toBeLessThan(cost(x + dx!, y + dy!) + 0.01);
    expect(Math.hypot(x, y)).toBeLessThan(2);
  });

  it('never leave the range of what was handed in, number by number', () => {
    const lists = fc.array(fc.array(fc.float({ noNaN: true, min: -5, max: 5 }), { minLength: 4, maxLength: 4 }), {
      minLength: 1,
      maxLength: 7,
    });
    fc.assert(
      fc.property(lists, fc.constantFrom(...ROBUST), (islands, averaging) => {
        averaged(averaging, ...islands).forEach((delta, i) => {
          const column = islands.map((island) => -island[i]!);
          expect(delta).toBeGreaterThanOrEqual(Math.min(...column) - 1e-4);
          expect(delta).toBeLessThanOrEqual(Math.max(...column) + 1e-4);
        });
      }),
    );
  });
});

describe('the bound on lengths', () => {
  it('scales down who is too long, and leaves the others as they are', () => {
    expect(normFactors([1, 1.1, 0.9, 50], 3)).toEqual([1, 1, 1, (3 * 1.05) / 50]);
  });

  it('needs a crowd to measure by', () => {
    expect(normFactors([1, 100], 3)).toEqual([1, 1]);
  });
});

describe('outer optimizers', () => {
  const step = (name: 'fedavgm' | 'fedadam' | 'fedyogi', ...deltas: readonly number[]) =>
    deltas.reduce(
      (state, delta) => outerStep(state, Float32Array.of(delta), STRATEGIES[name](SHAPE)),
      freshFragment(Float32Array.of(1), STRATEGIES[name](SHAPE)),
    );

  it('FedAvgM: v ← 0.9 v + Δ, θ ← θ − v', () => {
    // v 0.1, then 0.09 + 0.2 = 0.29; θ 1 − 0.1 − 0.29.
    expect(step('fedavgm', 0.1, 0.2).parameters[0]).toBeCloseTo(0.61, 6);
  });

  it('delayed Nesterov: every arrival moves a little, every N-th with the momentum of all of them', () => {
    // N 2, η 0.5, μ 0.9: θ 1 − 0.5 · 0.4 / 2 = 0.9; then v (0.4 + 0.2) / 2 = 0.3, θ 0.9 − 0.5 (0.1 + 0.9 · 0.3) = 0.715;
    // then θ 0.715 − 0.5 · 0.05 = 0.69; then v 0.9 · 0.3 + (0.1 + 0.1) / 2 = 0.37, θ 0.69 − 0.5 (0.05 + 0.9 · 0.37) = 0.4985.
    const rule = { ...STRATEGIES.async({ islands: 2, steps: 100, inner: 'adamw' }), rate: 0.5, momentum: 0.9 };
    const thetas: number[] = [];
    let state = freshFragment(Float32Array.of(1), rule);
    for (const delta of [0.4, 0.2, 0.1, 0.1]) {
      state = outerStep(state, Float32Array.of(delta), rule);
      thetas.push(state.parameters[0]!);
    }
    for (const [i, expected] of [0.9, 0.715, 0.69, 0.4985].entries()) expect(thetas[i]).toBeCloseTo(expected, 6);
  });

  it('delayed Nesterov with N 1 is Nesterov', () => {
    const rule = { ...STRATEGIES.async({ islands: 1, steps: 100, inner: 'adamw' }), rate: 0.7, momentum: 0.9 };
    let [delayed, plain] = [freshFragment(Float32Array.of(1), rule), freshFragment(Float32Array.of(1), rule)];
    for (const delta of [0.4, -0.2, 0.1]) {
      delayed = outerStep(delayed, Float32Array.of(delta), rule);
      plain = outerStep(plain, Float32Array.of(delta), { ...rule, optimizer: 'nesterov' });
      expect(delayed.parameters[0]).toBeCloseTo(plain.parameters[0]!, 6);
    }
  });

  it('FedAdam: the two steps computed by hand', () => {
    // τ 1e-3, v₀ 1e-6. m 0.01, v 0.99e-6 + 1e-4 = 1.0099e-4, θ 1 − 0.01 · 0.01 / (0.0100494 + 0.001) = 0.990950.
    const first = step('fedadam', 0.1);
    expect(first.parameters[0]).toBeCloseTo(1 - (0.01 * 0.01) / (Math.sqrt(1.0099e-4) + 1e-3), 6);
    // m 0.009 + 0.02 = 0.029, v 0.99 · 1.0099e-4 + 4e-4 = 4.999801e-4.
    expect(step('fedadam', 0.1, 0.2).parameters[0]).toBeCloseTo(
      first.parameters[0]! - (0.01 * 0.029) / (Math.sqrt(4.999801e-4) + 1e-3),
      6,
    );
  });

  it('FedYogi: v moves towards Δ² by at most (1 − β₂) Δ²', () => {
    // v₀ 1e-6 < Δ² = 0.01: v 1e-6 + 1e-4; then Δ² = 1e-6 < v: v falls by 1e-8.
    const { second } = step('fedyogi', 0.1, 0.001);
    expect(second[0]).toBeCloseTo(1.01e-4 - 1e-8, 9);
  });
});
