import { describe, expect, it } from 'vitest';
import {
  type FragmentClock,
  handedIn,
  holding,
  holdsUntilMs,
  isDue,
  received,
  stepped,
  unmerged,
} from '../../src/island/fragment-clock.ts';

const trained = (steps: number, clock: FragmentClock): FragmentClock =>
  Array.from({ length: steps }).reduce<FragmentClock>((c) => stepped(c, 100), clock);
const strict = { overlapSteps: 0, graceS: 5 };

describe("an island's clock of a fragment", () => {
  it('counts steps and tokens since it was received, and is due once', () => {
    const clock = trained(10, received(3, 1, 10));
    expect(clock).toMatchObject({ version: 3, steps: 10, tokens: 1000 });
    expect([isDue(trained(9, received(3, 1, 10))), isDue(clock), isDue({ ...clock, reported: true })]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('holds when due, for the grace and no longer', () => {
    const clocks = holding([trained(10, received(0, 1, 10))], 0, 1_000);
    expect(holdsUntilMs(clocks, strict, 1_000)).toBe(6_000);
    expect(holdsUntilMs(holding(clocks, 0, 4_000), strict, 4_000)).toBe(6_000);
    expect(holdsUntilMs(clocks, strict, 6_000)).toBeNull();
  });

  it('may run ahead of the merge by the overlap', () => {
    const overlapped = { overlapSteps: 3, graceS: 5 };
    expect(holdsUntilMs([trained(12, received(0, 1, 10))], overlapped, 0)).toBeNull();
    expect(holdsUntilMs([trained(13, received(0, 1, 10))], overlapped, 0)).toBe(5_000);
  });

  it('holds for good when the run needs no more of any fragment, and not for one alone', () => {
    expect(holdsUntilMs([received(9, 1, 0)], strict, 0)).toBe(Number.POSITIVE_INFINITY);
    expect(holdsUntilMs([received(9, 1, 0), received(8, 1, 10)], strict, 0)).toBeNull();
  });

  it('knows what is in no merge: since it handed in, or all when that came too late; and is due for nothing twice', () => {
    const ahead = trained(3, handedIn(trained(10, received(0, 4, 10))));
    const merged = unmerged(ahead, 4);
    expect(merged).toEqual({ since: 'handing-in', steps: 3, tokens: 300, dueBefore: 0 });
    // The three count towards the next merge.
    expect(received(1, 5, 10, merged)).toMatchObject({ steps: 3, tokens: 300, stepsUntilDue: 10 });
    const late = unmerged(ahead, 3);
    expect(late).toEqual({ since: 'receipt', steps: 13, tokens: 1300, dueBefore: 10 });
    // Ten of the thirteen had been due before: seven more are due, and all are handed in.
    const again = received(1, 5, 10, late);
    expect([isDue(trained(6, again)), isDue(trained(7, again))]).toEqual([false, true]);
    expect(received(1, 5, 0, late).stepsUntilDue).toBe(0);
    // After a restart nobody knows where it handed in.
    expect(unmerged({ ...ahead, handedIn: null }, 4)).toBeNull();
  });
});
