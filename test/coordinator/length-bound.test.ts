import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LengthVote, longestAllowed, withVotes } from '../../src/coordinator/length-bound.ts';

const vote = (island: string, length: number, steps = 10): LengthVote => ({ island, length, steps });
const merged = (...merges: readonly (readonly LengthVote[])[]): readonly LengthVote[] =>
  merges.reduce<readonly LengthVote[]>((votes, fresh) => withVotes(votes, fresh), []);

describe('the bound on lengths', () => {
  it('is none before three islands have handed in', () => {
    expect(longestAllowed(merged([vote('a', 1e-18)], [vote('a', 1e-18)], [vote('b', 1)]), 10)).toBe(
      Number.POSITIVE_INFINITY,
    );
  });

  it('is a thousand times the median of islands, each with its newest', () => {
    expect(longestAllowed(merged([vote('a', 7), vote('b', 1)], [vote('a', 2), vote('c', 3)]), 10)).toBe(2_000);
  });

  it('widens with steps, and never tightens by them', () => {
    const votes = merged([vote('a', 1), vote('b', 1), vote('c', 1)]);
    expect([1, 10, 40].map((steps) => longestAllowed(votes, steps))).toEqual([1_000, 1_000, 4_000]);
  });

  it('is not moved by one that is merged alone again and again, or claims steps', () => {
    const honest = merged([vote('a', 1), vote('b', 2), vote('c', 3)]);
    for (const liar of [vote('liar', 1e-18), vote('liar', 1e-18, Number.MAX_SAFE_INTEGER)]) {
      const votes = merged(honest, ...Array.from({ length: 1_000 }, () => [liar]));
      expect(longestAllowed(votes, 10)).toBeGreaterThanOrEqual(1_000);
    }
  });

  it('lets honest islands in again that were left out, as what is left out counts as well', () => {
    let votes = merged([vote('x', 1e-18), vote('y', 1e-18), vote('a', 1)]);
    const out: string[] = [];
    for (const island of ['b', 'c', 'd', 'e']) {
      if (1 > longestAllowed(votes, 10)) out.push(island);
      votes = withVotes(votes, [vote(island, 1)]);
    }
    expect(out).toEqual(['b']);
  });

  it('holds with any votes of fewer than half: no honest one is left out, and nothing a thousand thousand times as long gets in', () => {
    const lengths = fc.double({ min: 0.3, max: 3, noNaN: true });
    const lies = fc.double({ min: 0, max: 1e300, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(lengths, { minLength: 5, maxLength: 400 }),
        fc.array(lies, { maxLength: 100 }),
        (good, bad) => {
          const few = bad.slice(0, Math.floor((good.length - 1) / 4));
          const votes = merged([
            ...good.map((length, i) => vote(`honest-${i}`, length)),
            ...few.map((length, i) => vote(`zzz-${i}`, length)),
          ]);
          const most = longestAllowed(votes, 10);
          expect(votes.length).toBeLessThanOrEqual(256);
          expect(most).toBeGreaterThanOrEqual(300);
          expect(most).toBeLessThanOrEqual(3_000);
        },
      ),
    );
  });
});
