import fc from 'fast-check';
import { expect, it } from 'vitest';
import { has } from '../../src/coordinator/persistent-map.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { LIES, type Lie, type LieName } from './liars.ts';
import { settingsFor, World } from './world.ts';

/**
 * Runs of any valid outer settings in which one in five lies, from the beginning, or politely first: they end, and no honest island is banned.
 */
const outer = fc
  .record({
    innerSteps: fc.integer({ min: 1, max: 12 }),
    startSteps: fc.constantFrom(0, 0, 3),
    fragments: fc.integer({ min: 1, max: 4 }),
    graceS: fc.constantFrom(0, 0.5, 3),
    quorum: fc.constantFrom('all' as const, 1, 2, 4),
    overlapSteps: fc.constantFrom(0, 0, 2, 6),
    kind: fc.constantFrom('rounds', 'carried', 'one by one', 'by speed', 'delayed'),
    weighting: fc.constantFrom('tokens' as const, 'tokens-times-rate' as const),
  })
  .map(({ kind, ...given }) => {
    switch (kind) {
      case 'carried':
        return { ...given, overlapSteps: Math.max(1, given.overlapSteps), carryOver: true };
      case 'one by one':
        return { ...given, overlapSteps: 0, pull: 'due' as const, quorum: 1, maxStaleness: 20 };
      case 'by speed':
        return { ...given, overlapSteps: 0, pull: 'due' as const, quorum: 1, maxStaleness: 20, stepsBySpeed: true };
      case 'delayed':
        return { ...given, overlapSteps: Math.max(1, given.overlapSteps), oneStepDelay: true, maxStaleness: 1 };
      default:
        return given;
    }
  });

/** Honest for so many messages and contributions. */
function politeFor(count: number, lie: Lie): Lie {
  let said = 0;
  const isPolite = (): boolean => said < count;
  return {
    ...(lie.repeats === undefined ? {} : { repeats: lie.repeats }),
    ...(lie.staysMs === undefined ? {} : { staysMs: lie.staysMs }),
    says: (message, known) => {
      said++;
      return isPolite() ? [message] : (lie.says?.(message, known) ?? [message]);
    },
    contributes: (claim, known) =>
      isPolite() || lie.contributes === undefined ? claim : lie.contributes(claim, known),
    volunteers: (known) => (isPolite() ? [] : (lie.volunteers?.(known) ?? [])),
    get scale() {
      return isPolite() ? 1 : (lie.scale ?? 1);
    },
  };
}

const names = Object.keys(LIES) as LieName[];
const RUNS = Number(process.env.RUNS ?? 60);
it('a run of any outer settings with liars among its islands ends, and bans nobody honest', () => {
  fc.assert(
    fc.property(
      outer,
      fc.constantFrom(...names),
      fc.constantFrom(...names),
      fc.constantFrom(0, 0, 30, 150),
      fc.nat(1e6),
      fc.boolean(),
      (change, first, second, polite, seed, troubled) => {
        const random = seededRandom(seed);
        const lies = { 'island-2': politeFor(polite, LIES[first]), 'island-7': politeFor(polite, LIES[second]) };
        const settings = settingsFor(change, {
          expectedIslands: 10,
          evaluation: { everyMerges: 2, parts: 10 },
          stop: { tokens: 1e9, loss: 0.5 },
        });
        const chances = troubled ? { crash: 0.002, cut: 0.003, stall: 0.002, duplicate: 0.02, kill: 0.0003 } : {};
        const w = new World({ settings, islands: 10, random, lies, chances, stepMs: () => 80 + random.integer(80) });
        w.run();
        expect([w.end?.status, w.runStep]).toEqual(['finished', settings.steps]);
        const honest = w.islands.filter(({ name }) => !Object.hasOwn(lies, name)).map(({ name }) => name);
        expect(honest.filter((name) => has(w.state.banned, name))).toEqual([]);
      },
    ),
    { numRuns: RUNS },
  );
}, 600_000);
