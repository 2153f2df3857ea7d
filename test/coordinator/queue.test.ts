import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Queue } from '../../src/coordinator/server/queue.ts';

describe('a queue', () => {
  it('hands out in order what was put in, however that alternates', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.array(fc.nat()), fc.constant('take' as const))), (actions) => {
        const queue = new Queue<number>();
        const model: number[] = [];
        for (const action of actions) {
          if (action === 'take') expect(queue.take()).toBe(model.shift());
          else {
            queue.add(action);
            model.push(...action);
          }
          expect(queue.length).toBe(model.length);
        }
      }),
    );
  });

  it('takes a million at once, which is more than a call has arguments', () => {
    const queue = new Queue<number>();
    queue.add(Array.from({ length: 1_000_000 }, (_, i) => i));
    let sum = 0;
    for (let next = queue.take(); next !== undefined; next = queue.take()) sum += next;
    expect(sum).toBe((1_000_000 * 999_999) / 2);
    expect(queue.length).toBe(0);
  });
});
