import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutIntoFragments, type Fragment, pack, unpack } from '../../src/outer/fragments.ts';
import { contributionOf, type MergeRule, mergeFragment, pseudoGradient, weightOf } from '../../src/outer/merge.ts';
import { freshFragment, type GlobalFragment, outerStep } from '../../src/outer/outer-optimizer.ts';
import { chooseSettings, STRATEGIES } from '../../src/outer/settings.ts';
import { AVERAGINGS } from '../../src/protocol/outer-names.ts';
import { formula, reference, relativeError, unpackFloats } from '../ml/models/reference.ts';

const one = (name: string, elements: number, role: 'embedding' | 'other' = 'other'): Fragment => ({
  index: 0,
  elements,
  tensors: [{ name, elements, role }],
});
const fedavg = STRATEGIES.fedavg({ islands: 4, steps: 100, inner: 'adamw' });
const rule = (more: Partial<MergeRule>): MergeRule => ({ ...fedavg, ...more });
const start = (...parameters: readonly number[]) => freshFragment(Float32Array.from(parameters), fedavg);
const island = (weight: number, ...parameters: readonly number[]) => ({
  weight,
  parameters: Float32Array.from(parameters),
});

type At = ReturnType<typeof island>;
const contributions = (theta: Float32Array, islands: readonly At[]) =>
  islands.map(({ weight, parameters }) =>
    contributionOf(
      theta.map((x, i) => x - parameters[i]!),
      weight,
    ),
  );
const merge = (fragment: Fragment, current: GlobalFragment, islands: readonly At[], how: MergeRule) =>
  mergeFragment(fragment, current, contributions(current.parameters, islands), how).merged;
const gradient = (fragment: Fragment, theta: Float32Array, islands: readonly At[], how: MergeRule) =>
  pseudoGradient(fragment, contributions(theta, islands), how);

describe('merging a fragment', () => {
  it('is FedAvg with η 1 and μ 0: the weighted mean of the islands', () => {
    const merged = merge(one('w', 2), start(10, 20), [island(1, 0, 0), island(3, 4, 8)], rule({}));
    expect([...merged.parameters]).toEqual([3, 6]);
  });

  it('takes DiLoCo’s first two steps as computed by hand', () => {
    // θ 1; islands at 0.5 and 0.7, so Δ 0.4, v 0.4, θ ← 1 − 0.7 (0.4 + 0.9 · 0.4) = 0.468.
    const diloco = rule({ rate: 0.7, momentum: 0.9 });
    const first = merge(one('w', 1), start(1), [island(1, 0.5), island(1, 0.7)], diloco);
    expect(first.parameters[0]).toBeCloseTo(0.468, 6);
    expect(first.velocity[0]).toBeCloseTo(0.4, 6);
    // Islands at 0.368 each: Δ 0.1, v 0.9 · 0.4 + 0.1 = 0.46, θ ← 0.468 − 0.7 (0.1 + 0.9 · 0.46) = 0.1082.
    const second = merge(one('w', 1), first, [island(1, 0.368), island(1, 0.368)], diloco);
    expect(second.parameters[0]).toBeCloseTo(0.1082, 6);
  });

  it('takes the steps of torch.optim.SGD with Nesterov momentum', () => {
    const { rate, momentum, elements, parameters } = reference.nesterov;
    let state = freshFragment(formula(elements, 4), fedavg);
    for (const [k, expected] of parameters.entries()) {
      state = outerStep(state, formula(elements, 10 + k), rule({ rate, momentum }));
      expect(relativeError(state.parameters, unpackFloats(expected))).toBeLessThan(1e-6);
    }
  });

  it('leaves the fragment as it was when nobody contributes', () => {
    const before = start(1, 2);
    expect(merge(one('w', 2), before, [], rule({ momentum: 0.9 }))).toBe(before);
    expect(merge(one('w', 2), before, [island(0, 9, 9)], rule({ momentum: 0.9 }))).toBe(before);
  });

  it('gives the same bits for the same order of islands, and nearly the same for another', () => {
    const floats = fc.array(fc.float({ noNaN: true, min: -1, max: 1 }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(
        fc.array(floats, { minLength: 1, maxLength: 5 }),
        // Krum chooses among equals by their order.
        fc.constantFrom(...AVERAGINGS.filter((name) => !name.endsWith('krum'))),
        (lists, averaging) => {
          const islands = lists.map((list, i) => island(i + 1, ...list));
          const averaged = (order: typeof islands) =>
            gradient(one('w', 8), new Float32Array(8), order, rule({ averaging }));
          expect(averaged(islands)).toEqual(averaged(islands));
          const [a, b] = [averaged(islands), averaged(islands.toReversed())];
          for (let i = 0; i < 8; i++) expect(a[i]!).toBeCloseTo(b[i]!, 4);
        },
      ),
    );
  });
});

describe('radial–directional averaging', () => {
  const rda = (fragment: Fragment, ...islands: readonly ReturnType<typeof island>[]) => [
    ...gradient(fragment, new Float32Array(2), islands, rule({ averaging: 'radial-directional' })),
  ];

  it('keeps the mean length where orthogonal pseudo-gradients would shrink', () => {
    const [x, y] = rda(one('w', 2), island(1, -3, 0), island(1, 0, -1));
    expect(Math.hypot(x!, y!)).toBeCloseTo(2, 5);
    expect(x).toBeCloseTo(y!, 5);
  });

  it('takes the plain mean for embeddings, for one island, and where directions cancel out', () => {
    expect(rda(one('e', 2, 'embedding'), island(1, -3, 0), island(1, 0, -1))).toEqual([1.5, 0.5]);
    expect(rda(one('w', 2), island(5, -3, 4))).toEqual([3, -4]);
    expect(rda(one('w', 2), island(1, 1, 0), island(1, -1, 0))).toEqual([0, 0]);
  });

  it('leaves the direction to those that moved', () => {
    const [x, y] = rda(one('w', 2), island(1, 0, 0), island(1, -2, 0));
    expect([x, y]).toEqual([1, 0]);
  });
});

describe('weights', () => {
  it('count tokens, or tokens times tokens a step', () => {
    expect(weightOf('tokens', 600, 3)).toBe(600);
    expect(weightOf('tokens-times-rate', 600, 3)).toBe(600 * 200);
    expect(weightOf('tokens', 0, 0)).toBe(0);
  });
});

describe('fragments', () => {
  const layouts = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 30 }).map((sizes) =>
    sizes.map((elements, i) => ({
      name: `t${i}`,
      elements,
      role: i < 2 ? ('embedding' as const) : ('other' as const),
    })),
  );

  it('hold every tensor exactly once', () => {
    fc.assert(
      fc.property(layouts, fc.integer({ min: 1, max: 30 }), (tensors, count) => {
        fc.pre(count <= tensors.length);
        const fragments = cutIntoFragments(tensors, count, 'balanced');
        expect(fragments).toHaveLength(count);
        expect(fragments.flatMap((f) => f.tensors.map((t) => t.name)).sort()).toEqual(
          tensors.map((t) => t.name).sort(),
        );
      }),
    );
  });

  it('differ by no more than their largest tensor', () => {
    const tensors = Array.from({ length: 40 }, (_, i) => ({
      name: `t${i}`,
      elements: 10 + ((i * 37) % 100),
      role: 'other' as const,
    }));
    const sizes = cutIntoFragments(tensors, 5, 'balanced').map((f) => f.elements);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(109);
  });

  it('go by layers where the run says so: neighbours together, or apart; what is around them by itself', () => {
    const layer = (i: number) =>
      ['a', 'b'].map((n) => ({ name: `${i}.${n}`, elements: 2, role: 'other' as const, layer: i }));
    const tensors = [
      { name: 'e', elements: 9, role: 'embedding' as const },
      ...Array.from({ length: 6 }, (_, i) => layer(i)).flat(),
    ];
    const layersOf = (count: number, how: 'sequential' | 'strided') =>
      cutIntoFragments(tensors, count, how).map((f) => [...new Set(f.tensors.map((t) => t.layer ?? 'e'))]);
    expect(layersOf(4, 'sequential')).toEqual([['e'], [0, 1], [2, 3], [4, 5]]);
    expect(layersOf(4, 'strided')).toEqual([['e'], [0, 3], [1, 4], [2, 5]]);
    expect(layersOf(2, 'strided')).toEqual([
      ['e', 0, 2, 4],
      [1, 3, 5],
    ]);
    expect(layersOf(7, 'sequential').flat()).toEqual(['e', 0, 1, 2, 3, 4, 5]);
    expect(() => layersOf(8, 'strided')).toThrow(
      /outer\.fragments 8 is more than the model's 6 layers and what is around/,
    );
  });

  it('give back what was packed, and refuse what does not fit', () => {
    const [fragment] = cutIntoFragments(
      [
        { name: 'a', elements: 2, role: 'other' },
        { name: 'b', elements: 1, role: 'other' },
      ],
      1,
      'balanced',
    );
    const arrays = new Map([
      ['a', Float32Array.of(1, 2)],
      ['b', Float32Array.of(3)],
    ]);
    expect(unpack(fragment!, pack(fragment!, arrays))).toEqual(arrays);
    expect(() => pack(fragment!, new Map([['a', Float32Array.of(1)]]))).toThrow(
      /Tensor a has 1 elements where 2 belong/,
    );
    expect(() => cutIntoFragments(fragment!.tensors, 3, 'balanced')).toThrow(
      /outer\.fragments 3 is more than the model's 2 tensors/,
    );
  });
});

describe('the default number of inner steps', () => {
  it.each([
    [400, 10],
    [1_600, 20],
    [2_000, 20],
    [2_500, 25],
    [6_400, 40],
    // Nothing near divides it.
    [1_999, 22],
    [40_000, 100],
    [7, 7],
  ])('in a run of %d steps is %d: rounds end with the run where they can', (steps, innerSteps) => {
    expect(chooseSettings({ islands: 4, steps, inner: 'muon' }).innerSteps).toBe(innerSteps);
  });
});
