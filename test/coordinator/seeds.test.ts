import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { type Chances, settingsFor, World } from './world.ts';

/**
 * Thousands of runs through everything that can go wrong, each from one seed. A seed that fails is printed; to see it again alone:
 * `HELIOTROPE_SEED=123 npx vitest run test/coordinator/seeds.test.ts`. While a world goes on it asserts that no step of an island is
 * merged twice, and that a coordinator that was killed comes back with every merge that it has committed (`world.ts`).
 */
const ONE = process.env.HELIOTROPE_SEED;
const seeds = (count: number): readonly number[] => (ONE === undefined ? [...Array(count).keys()] : [Number(ONE)]);

const TROUBLE: Readonly<Record<string, Partial<Chances>>> = {
  'islands crash': { crash: 0.01 },
  'connections break and stall, words come twice': { cut: 0.01, stall: 0.01, duplicate: 0.05 },
  'the coordinator is killed, and its clock jumps': { kill: 0.002, jump: 0.0005 },
  'islands are away by their owners’ rules, and sleep': { rest: 0.01 },
  everything: { crash: 0.005, cut: 0.005, stall: 0.005, duplicate: 0.02, kill: 0.001, jump: 0.0003, rest: 0.003 },
};
const SETTINGS = {
  rounds: settingsFor({ graceS: 3 }),
  'a quorum of two': settingsFor({ quorum: 2, graceS: 1 }),
  'fragments in overlap': settingsFor({ quorum: 1, graceS: 0.5, fragments: 3, overlapSteps: 4 }),
  'fragments in overlap, carried over': settingsFor({
    quorum: 1,
    graceS: 0.5,
    fragments: 3,
    overlapSteps: 4,
    carryOver: true,
  }),
  'islands one by one': settingsFor({ pull: 'due', quorum: 1, maxStaleness: 20 }),
  'one step of delay': settingsFor({ oneStepDelay: true, maxStaleness: 1, overlapSteps: 8 }),
} as const;

describe.each(Object.entries(TROUBLE))('when %s', (_, chances) => {
  it.each(Object.entries(SETTINGS))('a run of %s ends, and its books are right', (_, settings) => {
    let kills = 0;
    for (const seed of seeds(200)) {
      const random = seededRandom(seed);
      const world = new World({ settings, islands: 3, random, chances, stepMs: () => 80 + random.integer(80) });
      try {
        world.run();
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      }
      kills += world.kills;
      expect([seed, world.end?.status, world.runStep]).toEqual([seed, 'finished', settings.steps]);
      for (const fragment of world.state.fragments.keys()) {
        const versions = world.merges.filter((m) => m.fragment === fragment).map((m) => m.version);
        expect([seed, versions]).toEqual([seed, versions.map((_, i) => i + 1)]);
      }
      expect([seed, world.state.merges]).toEqual([seed, world.merges.length]);
      expect([seed, world.mergedSteps <= world.islands.reduce((sum, i) => sum + i.steps, 0)]).toEqual([seed, true]);
      for (const island of world.islands)
        expect([seed, island.longestHoldMs]).toEqual([
          seed,
          expect.toSatisfy(within(settings.outer.graceS * 1000 + 300)),
        ]);
    }
    if (ONE === undefined && chances.kill !== undefined) expect(kills).toBeGreaterThan(50);
  });
});

/** `constructor` is a legal name, and every object has something under it; the others are as near to such as names can be. */
it.each(Object.entries(SETTINGS))('islands may be called what objects have anyway, in a run of %s', (_, settings) => {
  const names = ['constructor', 'valueof', 'hasownproperty', '0'];
  const merged = new Set<string>();
  for (const seed of seeds(20)) {
    const random = seededRandom(seed);
    const options = { settings: { ...settings, expectedIslands: names.length }, islands: names.length, names, random };
    const world = new World({ ...options, chances: TROUBLE.everything!, stepMs: () => 80 + random.integer(80) });
    world.run();
    expect([seed, world.end?.status]).toEqual([seed, 'finished']);
    for (const { weights } of world.merges) for (const { island } of weights) merged.add(island);
  }
  expect([...merged].toSorted()).toEqual(names.toSorted());
});

const within = (most: number) => (value: number) => value <= most;
