import { describe, expect, it } from 'vitest';
import {
  boundedClaim,
  dueFromMs,
  isConsistent,
  mostLength,
  mostProgress,
  UNKNOWN_PACE,
  usualPace,
} from '../../src/coordinator/claims.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { LIES, type LieName } from './liars.ts';
import { settingsFor, World } from './world.ts';

const settings = settingsFor({ innerSteps: 10, overlapSteps: 5 });
const since = (ms: number) => ({ ...UNKNOWN_PACE, workSinceMs: ms, receivedMs: ms });

describe('what is believed of a claim', () => {
  it.each([
    ['all of it, where there was time', 0.01, since(0), 10, { steps: 10, tokens: 1_000 }],
    ['64 times the usual pace', 0.01, since(0), 1e6, { steps: 640, tokens: 64_000 }],
    ['a few rounds, where nobody knows a pace', null, since(0), 1e6, { steps: 60, tokens: 6_000 }],
    ['a few rounds, where nobody knows since when', 0.01, UNKNOWN_PACE, 1e6, { steps: 60, tokens: 6_000 }],
  ])('is %s', (_, pace, own, claimedSteps, believed) => {
    const claim = { claimedSteps, claimedTokens: 100 * claimedSteps };
    expect(boundedClaim(settings, { pace }, own, claim, 1_000)).toEqual(believed);
  });

  it('is as many tokens as its steps have', () => {
    const claim = { claimedSteps: 10, claimedTokens: Number.MAX_SAFE_INTEGER };
    expect(isConsistent(settings, claim)).toBe(false);
    expect(boundedClaim(settings, { pace: 0.01 }, since(0), claim, 1_000)).toEqual({ steps: 10, tokens: 1_000 });
    expect(isConsistent(settings, { claimedSteps: 10, claimedTokens: 1_000 })).toBe(true);
    // Steps that were skipped have none.
    expect(isConsistent(settings, { claimedSteps: 10, claimedTokens: 300 })).toBe(true);
  });

  it('does not make it longer by what it claims', () => {
    const fragment = { pace: 0.01, lengths: ['a', 'b', 'c'].map((island) => ({ island, length: 1, steps: 10 })) };
    const claim = { claimedSteps: 1e12, claimedTokens: 1e14 };
    expect(mostLength(settings, fragment, since(0), claim, 1_000)).toBe(64_000);
  });

  it('is a pace that most have, and none of fewer than three', () => {
    const vote = (island: string, stepsPerMs: number) => ({ island, length: 1, steps: 1, stepsPerMs });
    expect(usualPace([vote('a', 1), vote('b', 2)])).toBeNull();
    expect(usualPace([vote('a', 1), vote('b', 2), vote('liar', 1e9)])).toBe(2);
  });

  it('is due a quarter of the usual time after it was sent the fragment, at the earliest', () => {
    expect(dueFromMs(settings, { pace: 0.01 }, since(500), 10, 600)).toBe(750);
    expect(dueFromMs(settings, { pace: 0.01 }, since(500), 10, 800)).toBe(800);
    expect(dueFromMs(settings, { pace: null }, since(500), 10, 600)).toBe(600);
  });

  it('moves the run by four times of what all but the fastest quarter trained', () => {
    expect([[], [500], [500, 50]].map(mostProgress)).toEqual([0, 500, 500]);
    expect(
      [
        [500, 500, 500],
        [500, 0, 0, 0],
        [500, 1, 0],
        [500, 500, 100, 100],
      ].map(mostProgress),
    ).toEqual([2_000, 0, 2, expect.closeTo(933.3, 1)]);
  });
});

describe('a run of long rounds with one that is due at once', () => {
  const long = {
    steps: 2_000,
    expectedIslands: 4,
    evaluation: { everyMerges: 1_000, parts: 4 },
    checkpointEveryMerges: 1_000,
  };
  const run = (outer: Parameters<typeof settingsFor>[0], lie: LieName, islands = 4, stop = {}): World =>
    new World({
      settings: settingsFor({ innerSteps: 100, graceS: 1, ...outer }, { ...long, stop, expectedIslands: islands }),
      islands,
      random: seededRandom(3),
      stepMs: () => 100,
      lies: { 'island-2': LIES[lie] },
    }).run();
  const honestSteps = (w: World): number =>
    Math.min(...w.islands.filter(({ lie }) => lie === undefined).map((i) => i.steps));

  it.each([
    ['rounds', {}],
    ['a quorum of one in overlap', { quorum: 1, overlapSteps: 10, fragments: 2 }],
    ['rounds of a synchronous start', { startSteps: 3 }],
  ] as const)('does not end before the others have trained: %s', (_, outer) => {
    for (const islands of [3, 4, 8]) {
      const w = run(outer, 'is due at once', islands);
      expect([islands, w.end?.status, w.runStep]).toEqual([islands, 'finished', 2_000]);
      expect(honestSteps(w)).toBeGreaterThan(2_000 / 4);
    }
  });

  it.each(['claims all tokens there are', 'claims all steps there are'] as const)(
    'does not meet stop.tokens by one that %s',
    (lie) => {
      const w = run({}, lie, 5, { tokens: 200_000 });
      expect(w.end?.status).toBe('finished');
      const honest = w.islands
        .filter(({ lie }) => lie === undefined)
        .reduce((sum, island) => sum + 100 * island.steps, 0);
      // Four trained beside one that may claim 64 times as much as one of them.
      expect(honest).toBeGreaterThan(200_000 / ((4 + 64) / 4));
      expect(w.state.mergedTokens).toBeLessThan(1e7);
    },
  );
});

describe('one that is slow to answer, or fast by its own account', () => {
  const run = (lie: LieName | undefined, outer: Parameters<typeof settingsFor>[0] = {}, steps = 400): World =>
    new World({
      settings: settingsFor(
        { graceS: 1, ...outer },
        { steps, expectedIslands: 4, evaluation: { everyMerges: 1_000, parts: 4 } },
      ),
      islands: 4,
      random: seededRandom(3),
      stepMs: () => 100,
      lies: lie === undefined ? {} : { 'island-2': LIES[lie] },
    }).run();

  it('holds merges up once, and not with every pull that it lets pass', () => {
    const [fair, w] = [run(undefined), run('never hands in')];
    expect([w.end?.status, w.runStep]).toEqual(['finished', 400]);
    // A least patience of one second a merge, and a lease once.
    expect(w.nowMs).toBeLessThan(fair.nowMs + fair.merges.length * 1_100 + 10_000);
  });

  it('does not leave the others one step a round', () => {
    const bySpeed = { pull: 'due', quorum: 1, maxStaleness: 20, stepsBySpeed: true, innerSteps: 200 } as const;
    const steps = run('claims to be infinitely fast', bySpeed, 2_000)
      .records.filter((record) => record.kind === 'merge')
      .flatMap(({ contributions }) => contributions.filter(({ island }) => island !== 'island-2'))
      .map((contribution) => contribution.steps);
    // From the third island on that has said its speed: an eighth of 200.
    expect(Math.min(...steps.slice(4, 40))).toBeGreaterThanOrEqual(25);
  });
});

describe('the tokens of a contribution', () => {
  it('count as far as they are believed, also where an old log claims more', () => {
    const state = initialState(settings);
    const events = [
      { kind: 'joined', island: 'a', key: 'a', invitation: null, holds: [] },
      { kind: 'ready', island: 'a', restored: null },
    ] as const;
    let now = state;
    for (const event of events) now = react({ ...settings, expectedIslands: 1 }, now, event, 0).state;
    for (const part of [0, 1])
      now = react(
        { ...settings, expectedIslands: 1 },
        now,
        { kind: 'evaluated', island: 'a', evaluation: 1, part, lossSum: 3, tokens: 1 },
        1,
      ).state;
    for (const event of [
      { kind: 'due', island: 'a', fragment: 0, version: 0, slackMs: 0 },
      {
        kind: 'contributed',
        island: 'a',
        fragment: 0,
        version: 0,
        round: 1,
        steps: 10,
        tokens: Number.MAX_SAFE_INTEGER,
      },
    ] as const)
      now = react({ ...settings, expectedIslands: 1 }, now, event, 1_000).state;
    expect([now.merges, now.mergedTokens]).toEqual([1, 1_000]);
  });
});
