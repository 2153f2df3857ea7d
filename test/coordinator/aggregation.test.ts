import { describe, expect, it } from 'vitest';
import { Aggregation } from '../../src/coordinator/aggregation.ts';
import { packUpdate } from '../../src/outer/encoded-fragment.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { STRATEGIES, type Strategy } from '../../src/outer/settings.ts';

const fragment: Fragment = { index: 0, elements: 4, tensors: [{ name: 'w', elements: 4, role: 'other' }] };
const weights = ['a', 'b'].map((island) => ({ island, weight: 1 }));
const handIn = (aggregation: Aggregation, round: number): void => {
  for (const [i, island] of ['a', 'b'].entries()) {
    const parameters = Float32Array.from({ length: 4 }, (_, k) => Math.sin(round + i + k));
    const { encoded } = packUpdate(aggregation.codec(0), {
      parameters,
      base: new Float32Array(4),
      residual: new Float32Array(4),
      sign: -1,
      memory: new Float32Array(aggregation.codec(0).memoryElements),
    });
    aggregation.contribute(0, island, encoded);
  }
};

describe('aggregation', () => {
  it.each(Object.keys(STRATEGIES) as Strategy[])('goes on from its saved state to the same bits: %s', (strategy) => {
    const settings = STRATEGIES[strategy]({ islands: 2, steps: 100, inner: 'adamw' });
    const start = { parameters: new Map([['w', new Float32Array(4)]]) };
    const straight = new Aggregation([fragment], settings, start);
    let resumed = new Aggregation([fragment], settings, start);
    for (let round = 0; round < 4; round++) {
      for (const aggregation of [straight, resumed]) {
        handIn(aggregation, round);
        aggregation.merge(0, weights);
      }
      resumed = new Aggregation([fragment], settings, structuredClone(resumed.state()));
    }
    expect(resumed.state()).toEqual(straight.state());
    expect(
      straight
        .state()
        .parameters.get('w')!
        .some((x) => x !== 0),
    ).toBe(true);
  });
});
