import { describe, expect, it } from 'vitest';
import { checkOuter } from '../../src/cli/outer-checks.ts';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { HelioError } from '../../src/errors.ts';
import { type Random, seededRandom } from '../../src/ml/tensor/random.ts';
import { AVERAGINGS, FRAGMENTATIONS, OUTER_OPTIMIZERS, STRATEGY_NAMES } from '../../src/protocol/outer-names.ts';
import type { Job } from '../../src/protocol/run-file.ts';
import { Numbers } from './numbers.ts';
import { type Chances, settingsFor, World } from './world.ts';

/**
 * Outer settings of every kind in seeded worlds that compute (`numbers.ts`). While a world goes on it is asserted that every version that an
 * island has is the coordinator's to the bit, that a contribution is the difference to the version that it names, that a coordinator that was
 * killed comes back with the same bits, and that a validation loss is that of the model which the run would save then.
 * One seed alone: `HELIOTROPE_SEED=123 npx vitest run test/coordinator/outer-settings.test.ts`.
 */
const ONE = process.env.HELIOTROPE_SEED;
const seeds = (count: number): readonly number[] => (ONE === undefined ? [...Array(count).keys()] : [Number(ONE)]);

const ISLANDS = 3;
const CODECS = [
  'f32',
  'f16',
  'bf16',
  'int8',
  'int4',
  'e3m0',
  'int2',
  'sign',
  'top-1/8+int4',
  'low-rank-2+int8',
] as const;
const of = <T>(random: Random, values: readonly T[]): T => values[random.integer(values.length)]!;

/** Each is in the run file or left to the strategy. */
const CHOICES: Readonly<Record<string, (random: Random) => unknown>> = {
  innerSteps: (random) => 2 + random.integer(10),
  startSteps: (random) => of(random, [0, 1, 3]),
  stepsBySpeed: (random) => of(random, [true, false]),
  fragments: (random) => 1 + random.integer(4),
  fragmentation: (random) => of(random, FRAGMENTATIONS),
  rate: (random) => of(random, [0.3, 0.7, 1]),
  optimizer: (random) => of(random, OUTER_OPTIMIZERS),
  momentum: (random) => of(random, [0, 0.3, 0.7]),
  quorum: (random) => of(random, ['all', 1, 2, 3]),
  pull: (random) => of(random, ['present', 'due']),
  graceS: (random) => of(random, [0, 0.5, 3]),
  maxStaleness: (random) => of(random, [0, 1, 4, 20]),
  overlapSteps: (random) => random.integer(8),
  exactOverlap: (random) => of(random, [true, false]),
  localShare: (random) => of(random, [0, 0.5, 1]),
  carryOver: (random) => of(random, [true, false]),
  oneStepDelay: (random) => of(random, [true, false]),
  weighting: (random) => of(random, ['tokens', 'tokens-times-rate']),
  averaging: (random) => of(random, AVERAGINGS),
  normBound: (random) => of(random, [1, 3, 100]),
  upCodec: (random) => of(random, CODECS),
  downCodec: (random) => of(random, CODECS),
};

/** What a run file may say and `checkOuter` accepts. */
function validJob(random: Random): Job {
  for (;;) {
    const outer: Record<string, unknown> = {
      strategy: of(random, STRATEGY_NAMES),
      innerSteps: CHOICES.innerSteps!(random),
    };
    for (const [key, choose] of Object.entries(CHOICES)) if (random.uniform() < 0.25) outer[key] = choose(random);
    const file = {
      data: 'a',
      islands: ISLANDS,
      outer,
      stop: { steps: 30 },
      inner: { optimizer: of(random, ['adamw', 'muon']) },
    };
    const job = resolveJob(parseRunFile(JSON.stringify(file), 'f'), 'f');
    try {
      checkOuter(job);
      return job;
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
    }
  }
}

const worldOf = (outer: Job['outer'], steps: number, random: Random, chances: Partial<Chances> = {}): World => {
  const settings = settingsFor(outer, { steps, expectedIslands: ISLANDS });
  const paces = Array.from({ length: ISLANDS }, () => 60 + random.integer(120));
  const stepMs = (name: string): number => paces[Number(name.at(-1)) - 1]! + random.integer(30);
  return new World({ settings, islands: ISLANDS, random, chances, stepMs, numbers: new Numbers(settings, random) });
};

/** Each was wrong once. */
it.each([
  ['islands one by one, with differences back', 'strategy: async, innerSteps: 5, downCodec: int8', {}],
  ['islands one by one', 'strategy: async, innerSteps: 5', {}],
  ['fragments one by one', 'strategy: async, innerSteps: 6, fragments: 3, downCodec: int4', {}],
  [
    'islands that come back with an older base',
    'strategy: decoupled, innerSteps: 8, maxStaleness: 1, carryOver: true',
    { cut: 0.01, stall: 0.005 },
  ],
  [
    'merges that come faster than steps',
    'strategy: data-parallel, innerSteps: 11, startSteps: 1, fragments: 3, graceS: 0, maxStaleness: 1, upCodec: top-1/8+int4',
    { cut: 0.01, stall: 0.005 },
  ],
  [
    'islands that come in the moment of a merge',
    'strategy: sparseloco, innerSteps: 4, downCodec: int4',
    { crash: 0.005, kill: 0.002, cut: 0.003 },
  ],
])('%s have the coordinator’s bits, and measure what is saved', (_, outer, chances) => {
  const file = `data: a\nislands: ${ISLANDS}\nouter: { ${outer} }\nstop: { steps: 30 }`;
  const job = resolveJob(parseRunFile(file, 'f'), 'f');
  checkOuter(job);
  let measured = 0;
  for (const seed of seeds(40)) {
    const world = worldOf(job.outer, job.stop.steps, seededRandom(seed, 17), chances).run();
    expect([seed, world.end?.status]).toEqual([seed, 'finished']);
    if (world.state.lastLossMerges === world.state.merges) measured++;
  }
  if (ONE === undefined) expect(measured).toBeGreaterThan(35);
});

const TROUBLE: Readonly<Record<string, Partial<Chances>>> = {
  'nothing happens': {},
  'connections break and stall': { cut: 0.01, stall: 0.005, duplicate: 0.02 },
  'islands crash and the coordinator is killed': { crash: 0.005, kill: 0.002, cut: 0.003 },
};

describe.each(Object.entries(TROUBLE))('whatever the outer settings, when %s', { timeout: 300_000 }, (_, chances) => {
  it('all sides hold the same bits, and the loss that is said is that of the model', () => {
    for (const seed of seeds(100)) {
      const random = seededRandom(seed, 17);
      const { outer, stop } = validJob(random);
      const world = worldOf(outer, stop.steps, random, chances);
      const said = `seed ${seed}, ${JSON.stringify(outer)}`;
      try {
        world.run();
      } catch (error) {
        throw new Error(`${said}: ${String(error)}`, { cause: error });
      }
      expect([said, world.end?.status]).toEqual([said, 'finished']);
    }
  });
});
