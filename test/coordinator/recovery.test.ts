import { describe, expect, it } from 'vitest';
import { recover } from '../../src/coordinator/recovery.ts';
import { allIslands, islandOf } from '../../src/coordinator/roster.ts';
import type { RunSettings } from '../../src/coordinator/state.ts';
import type { History } from '../../src/coordinator/store/run-store.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { type Chances, settingsFor, World } from './world.ts';

/** A log is replayed by another version of the machine: what was committed is what was merged, whatever that version would have decided. */

const TROUBLE: Partial<Chances> = { crash: 0.004, cut: 0.004, stall: 0.004 };
const LONG = { steps: 200, checkpointEveryMerges: 100 };
const BEFORE = settingsFor({ graceS: 3, quorum: 2 }, LONG);

/** Rules that another version may have: each decides otherwise what is merged, when, of whom, or how it counts. */
const RULES: Readonly<Record<string, RunSettings>> = {
  'the same': BEFORE,
  'other weights': settingsFor({ graceS: 3, quorum: 2, weighting: 'tokens-times-rate' }, LONG),
  'less patience': { ...BEFORE, leaseMs: 50 },
  'no grace': settingsFor({ graceS: 0, quorum: 1 }, LONG),
  'all are waited for': settingsFor({ graceS: 30, quorum: 'all' }, LONG),
  'rounds of other lengths': settingsFor({ graceS: 3, quorum: 2, innerSteps: 7 }, LONG),
  'islands one by one': settingsFor({ pull: 'due', quorum: 1 }, LONG),
  'checkpoints at other times': settingsFor({ graceS: 3, quorum: 2 }, { ...LONG, checkpointEveryMerges: 1 }),
  'another end': { ...BEFORE, steps: 60 },
};

const replayedBy = (history: History, settings: RunSettings): History => ({
  ...history,
  sessions: history.sessions.map((session) => ({ ...session, settings })),
});

function logOf(seed: number): History {
  const random = seededRandom(seed);
  const stepMs = (): number => 80 + random.integer(80);
  const world = new World({ settings: BEFORE, islands: 3, random, chances: TROUBLE, stepMs });
  // Mostly in the middle of the run.
  return world.run(5_000 + random.integer(20_000)).history;
}

describe.each(Object.entries(RULES))('a log that is replayed with the rule: %s', (name, settings) => {
  it('leads to exactly the rounds that its records name, each once, and to their steps', () => {
    let differing = 0;
    let merges = 0;
    for (let seed = 0; seed < 60; seed++) {
      const history = logOf(seed);
      const recovery = recover(replayedBy(history, settings))!;
      expect([seed, recovery.merges]).toEqual([seed, history.merges]);
      const before = history.checkpoint?.state;
      const { state } = recovery;
      for (const [index, fragment] of state.fragments.entries()) {
        const last = history.merges.findLast((merge) => merge.fragment === index);
        if (last === undefined) continue;
        const { runStep, progress } = last.what!;
        expect([seed, fragment.version, fragment.runStep, fragment.progress]).toEqual([
          seed,
          last.version,
          runStep,
          progress,
        ]);
      }
      for (const island of allIslands(state.islands))
        for (const [index, newest] of island.merged.entries()) {
          const rounds = history.merges
            .filter((merge) => merge.fragment === index)
            .flatMap((merge) => merge.what!.contributions.filter((c) => c.island === island.name).map((c) => c.round));
          const start = before === undefined ? 0 : (islandOf(before.islands, island.name)?.merged[index] ?? 0);
          expect([seed, island.name, newest]).toEqual([seed, island.name, Math.max(start, ...rounds)]);
        }
      expect([seed, state.merges]).toEqual([seed, (before?.merges ?? 0) + history.merges.length]);
      const tokens = history.merges.flatMap((m) => m.what!.contributions).reduce((sum, c) => sum + c.tokens, 0);
      expect([seed, state.mergedTokens]).toEqual([seed, (before?.mergedTokens ?? 0) + tokens]);
      merges += history.merges.length;
      differing += recovery.records.filter((record) => record.kind === 'took-records').length;
    }
    expect(merges).toBeGreaterThan(60);
    if (name === 'the same') expect(differing).toBe(0);
    else if (name !== 'checkpoints at other times' && name !== 'another end') expect(differing).toBeGreaterThan(0);
  });
});

describe('a coordinator that is killed and comes back as another version, again and again', () => {
  it('merges no step of an island twice, loses no merge, and the run ends', () => {
    const rules = Object.values(RULES).filter(({ steps }) => steps === BEFORE.steps);
    let [kills, upgrades] = [0, 0];
    for (let seed = 0; seed < 60; seed++) {
      const random = seededRandom(seed);
      const world = new World({
        settings: BEFORE,
        islands: 3,
        random,
        chances: { ...TROUBLE, kill: 0.003 },
        stepMs: () => 80 + random.integer(80),
        upgrade: (number) => ({ settings: rules[number % rules.length]! }),
      });
      try {
        world.run();
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      }
      kills += world.kills;
      upgrades += world.upgrades;
      expect([seed, world.end?.status]).toEqual([seed, 'finished']);
      const versions = world.merges.map(({ version }) => version);
      expect([seed, versions]).toEqual([seed, versions.map((_, i) => i + 1)]);
    }
    expect(kills).toBeGreaterThan(60);
    expect(upgrades).toBeGreaterThan(10);
  });
});

describe('records of merges', () => {
  const history = logOf(1);
  const [first] = history.merges;
  const withFirst = (change: object): History => ({
    ...history,
    merges: [{ ...first!, ...change }, ...history.merges.slice(1)],
  });

  it('have the last word about who was merged: another contributor than the log has is believed, and its round is over', () => {
    const { contributions } = first!.what!;
    const stranger = { ...contributions[0]!, island: 'island-9', key: 'key-9', round: 4, tokens: 500 };
    const what = { ...first!.what!, contributions: [stranger] };
    const { state, records } = recover(withFirst({ what }))!;
    expect(islandOf(state.islands, 'island-9')).toMatchObject({ key: 'key-9', status: 'gone', merged: [4] });
    expect(records.at(-1)).toMatchObject({ kind: 'took-records', version: 1, merges: history.merges.length });
    const merge = records.find((record) => record.kind === 'merge');
    expect(merge?.contributions).toMatchObject([{ island: 'island-9', round: 4, tokens: 500 }]);
  });

  it('that contradict each other are refused, and nothing is merged twice', () => {
    const [, second] = history.merges;
    const what = { ...second!.what!, contributions: first!.what!.contributions };
    const merges = history.merges.with(1, { ...second!, what });
    expect(() => recover({ ...history, merges })).toThrow(
      expect.objectContaining({ code: 'HELIO-3001', what: expect.stringContaining('was merged before') }),
    );
    const gap = history.merges.with(0, { ...first!, version: 3 });
    expect(() => recover({ ...history, merges: gap })).toThrow(
      expect.objectContaining({ code: 'HELIO-3001', what: expect.stringContaining('follows on version 0') }),
    );
  });

  it('of a store from before say too little to go by: a log that leads elsewhere is refused', () => {
    const merges = history.merges.map((merge) => ({ ...merge, what: null }));
    expect(recover({ ...history, merges })!.merges).toEqual(merges);
    expect(() => recover(replayedBy({ ...history, merges }, RULES['less patience']!))).toThrow(
      expect.objectContaining({ code: 'HELIO-3001' }),
    );
  });
});
