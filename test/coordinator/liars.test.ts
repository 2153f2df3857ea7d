import { describe, expect, it } from 'vitest';
import { has } from '../../src/coordinator/persistent-map.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { LIES, type LieName } from './liars.ts';
import { type Chances, settingsFor, World } from './world.ts';

/**
 * Runs of five islands of which one lies, each from one seed, and of ten of which two do; `HELIOTROPE_SEED=123` runs one seed alone. While a world goes on it
 * asserts that no step of an honest island is merged twice, and that a coordinator that was killed comes back with every merge (`world.ts`).
 */
const ONE = process.env.HELIOTROPE_SEED;
const seeds = (count: number): readonly number[] => (ONE === undefined ? [...Array(count).keys()] : [Number(ONE)]);

const rest = {
  expectedIslands: 5,
  evaluation: { everyMerges: 2, parts: 5 },
  stop: { tokens: 1e9, loss: 0.5 },
} as const;
const SETTINGS = {
  rounds: settingsFor({ graceS: 3 }, rest),
  'a quorum of two': settingsFor({ quorum: 2, graceS: 1 }, rest),
  'a quorum of all that are there': settingsFor({ quorum: 5, graceS: 1 }, rest),
  'fragments in overlap': settingsFor({ quorum: 1, graceS: 0.5, fragments: 3, overlapSteps: 4 }, rest),
  'fragments in overlap, carried over': settingsFor(
    { quorum: 1, graceS: 0.5, fragments: 3, overlapSteps: 4, carryOver: true },
    rest,
  ),
  'islands one by one': settingsFor({ pull: 'due', quorum: 1, maxStaleness: 20 }, rest),
  'islands one by one, as fast as they are': settingsFor(
    { pull: 'due', quorum: 1, maxStaleness: 20, stepsBySpeed: true },
    rest,
  ),
  'all who are due': settingsFor({ pull: 'due', quorum: 'all', maxStaleness: 20 }, rest),
  'as many as there are, when they are due': settingsFor({ pull: 'due', quorum: 5, maxStaleness: 20 }, rest),
  'one step of delay': settingsFor({ oneStepDelay: true, maxStaleness: 1, overlapSteps: 8 }, rest),
} as const;

/** What is asserted of every run with liars. */
function check(w: World, seed: number): void {
  const { lies = {}, settings } = w.options;
  const honest = w.islands.filter(({ name }) => lies[name] === undefined);
  const steps = honest.map((island) => island.steps);
  const last = w.records.filter((record) => record.kind === 'evaluation').at(-1);
  // Where the host wants all of them and one was banned, the run waits for another, and says so.
  const { quorum } = settings.outer;
  const isShort =
    quorum !== 'all' && w.end === undefined && w.state.islands.training.size < quorum && w.state.banned.size > 0;
  if (isShort) expect([seed, w.state.phase]).toEqual([seed, 'paused']);
  else expect([seed, w.end?.status]).toEqual([seed, 'finished']);
  expect([seed, honest.filter(({ name }) => has(w.state.banned, name))]).toEqual([seed, []]);
  if (isShort) return;
  // Honest islands all measure 3.
  expect([seed, last?.loss]).toEqual([seed, expect.closeTo(3, 0.5)]);
  // The run's steps, and the tokens that count, are work that is there.
  expect([seed, w.runStep, Math.max(...steps)]).toEqual([
    seed,
    settings.steps,
    expect.toSatisfy((most: number) => most * FACTOR >= w.runStep),
  ]);
}

/** By how much more than the fastest honest island has trained the run may have moved. */
const FACTOR = 4;

describe.each(Object.entries(LIES) as (readonly [LieName, (typeof LIES)[LieName]])[])('with one that %s', (_, lie) => {
  it.each(Object.entries(SETTINGS))('a run of %s ends, and honest islands are none the worse', (_, settings) => {
    for (const seed of seeds(8)) {
      const random = seededRandom(seed);
      const lies = { [`island-${1 + (seed % 5)}`]: lie };
      const w = new World({ settings, islands: 5, random, lies, stepMs: () => 80 + random.integer(80) });
      try {
        w.run();
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      }
      check(w, seed);
    }
  });
});

const TROUBLE: Partial<Chances> = { crash: 0.003, cut: 0.003, stall: 0.003, duplicate: 0.02, kill: 0.0005 };

it.each(Object.entries(SETTINGS))('two liars of ten and every other trouble: a run of %s ends', (_, settings) => {
  const names = Object.keys(LIES) as LieName[];
  for (const seed of seeds(30)) {
    const random = seededRandom(seed);
    const pick = (): (typeof LIES)[LieName] => LIES[names[random.integer(names.length)]!];
    const lies = { 'island-3': pick(), 'island-8': pick() };
    const w = new World({
      settings: { ...settings, expectedIslands: 10, evaluation: { everyMerges: 2, parts: 10 } },
      islands: 10,
      random,
      lies,
      chances: TROUBLE,
      stepMs: () => 80 + random.integer(80),
    });
    try {
      w.run();
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
    check(w, seed);
  }
});
