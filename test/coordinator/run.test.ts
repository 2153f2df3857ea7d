import { describe, expect, it } from 'vitest';
import { isAdmitted, isAwaited } from '../../src/coordinator/due.ts';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { entriesOf } from '../../src/coordinator/persistent-map.ts';
import { allIslands, emptyRoster, islandOf } from '../../src/coordinator/roster.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import { standingOf } from '../../src/coordinator/standing.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { settingsFor, World, type WorldOptions } from './world.ts';

const world = (change: Partial<WorldOptions> = {}, seed = 1): World =>
  new World({
    settings: settingsFor(),
    islands: 3,
    random: seededRandom(seed),
    stepMs: () => 100,
    ...change,
  });
const ofKind = <K extends RunRecord['kind']>(w: World, kind: K) =>
  w.records.filter((r): r is RunRecord & { kind: K } => r.kind === kind);

describe('a run with everybody (DiLoCo)', () => {
  it('goes from gathering to finished, merging every H steps with equal weights', () => {
    const w = world().run();
    expect(ofKind(w, 'phase').map((r) => r.phase)).toEqual(['measuring', 'training', 'concluding', 'finished']);
    expect(ofKind(w, 'merge').map((r) => r.runStep)).toEqual([10, 20, 30, 40, 50]);
    expect(w.merges.every((m) => m.weights.length === 3 && m.weights.every((x) => x.weight === 1000))).toBe(true);
    expect(w.islands.map((i) => i.steps)).toEqual([50, 50, 50]);
  });

  it('names contributions in one order, whatever order they came in', () => {
    for (const seed of [1, 2, 3]) {
      for (const merge of world({}, seed).run().merges)
        expect(merge.weights.map((x) => x.island)).toEqual(['island-1', 'island-2', 'island-3']);
    }
  });

  it('validates before, during and after', () => {
    const w = world().run();
    expect(ofKind(w, 'evaluation').map((r) => [r.label, r.runStep, r.loss])).toEqual([
      ['before', 0, 3],
      ['during', 20, 3],
      ['during', 40, 3],
      ['after', 50, 3],
    ]);
  });

  it('completes a checkpoint after every second merge and at the end', () => {
    expect(ofKind(world().run(), 'checkpoint').map((r) => r.runStep)).toEqual([20, 40, 50]);
  });

  it('makes the last round shorter when H does not divide the steps', () => {
    const w = world({ settings: settingsFor({}, { steps: 25 }) }).run();
    expect(ofKind(w, 'merge').map((r) => r.runStep)).toEqual([10, 20, 25]);
    expect(w.merges.at(-1)!.weights[0]!.weight).toBe(500);
  });
});

describe('islands one by one (asynchronous)', () => {
  const one = { pull: 'due', quorum: 1, maxStaleness: 20, innerSteps: 10 } as const;

  it('are merged alone as they come, and only they get the result', () => {
    const w = world({ settings: settingsFor(one) }).run();
    expect(w.end?.status).toBe('finished');
    expect(w.merges.every((m) => m.weights.length === m.receivers.length)).toBe(true);
    expect(w.merges.filter((m) => m.weights.length === 1).length).toBeGreaterThan(10);
    // Each island moves the run by a third of its round.
    let rounds = 0;
    for (const merge of ofKind(w, 'merge').slice(0, 10)) {
      rounds += merge.contributions.length;
      expect(merge.runStep).toBe(Math.floor((10 * rounds) / 3 + 1e-6));
    }
    expect(w.runStep).toBe(50);
  });

  it('take as many steps as their speed allows, so that nobody is behind by more than one another', () => {
    const stepMs = (island: string): number => (island === 'island-3' ? 800 : 100);
    const settings = settingsFor({ ...one, stepsBySpeed: true }, { steps: 100 });
    const w = world({ settings, stepMs }).run();
    expect(w.end?.status).toBe('finished');
    const rounds = ofKind(w, 'merge').flatMap((r) => r.contributions.map((c) => [c.island, c.steps] as const));
    const stepsOf = (name: string) =>
      rounds
        .filter(([island]) => island === name)
        .map(([, steps]) => steps)
        .slice(2, -3);
    expect(Math.max(...stepsOf('island-3'))).toBeLessThanOrEqual(3);
    expect(Math.max(...stepsOf('island-1'))).toBeGreaterThanOrEqual(9);
  });

  it('are left out when their base is too old', () => {
    const settings = settingsFor({ ...one, maxStaleness: 1 });
    const state = initialState(settings);
    const [fragment] = state.fragments;
    const at = (version: number) => ({ ...fragment!, version });
    expect([isAdmitted(settings, at(5), 5), isAdmitted(settings, at(5), 4)]).toEqual([true, true]);
    expect([isAdmitted(settings, at(5), 3), isAdmitted(settings, at(5), 6)]).toEqual([false, false]);
  });
});

describe('one step of delay (DiLoCoX)', () => {
  it('merges in every round what was trained from the merge before last, and nobody holds', () => {
    const settings = settingsFor({ oneStepDelay: true, maxStaleness: 1, overlapSteps: 8 });
    const w = world({ settings }).run();
    expect(w.end?.status).toBe('finished');
    expect(ofKind(w, 'merge').map((r) => r.runStep)).toEqual([10, 20, 30, 40, 50]);
    expect(w.islands.map((i) => i.longestHoldMs)).toEqual([0, 0, 0]);
    for (const merge of ofKind(w, 'merge')) expect(merge.contributions).toHaveLength(3);
  });

  it('goes on when a fast island is due again before a slow one was merged', () => {
    const settings = settingsFor({ oneStepDelay: true, maxStaleness: 1, overlapSteps: 9, graceS: 5 });
    const stepMs = (island: string): number => (island === 'island-3' ? 700 : 100);
    const w = world({ settings, stepMs }).run();
    expect([w.end?.status, w.runStep]).toEqual(['finished', 50]);
  });
});

describe('rounds with steps by speed', () => {
  it('end together for islands of different speed', () => {
    const stepMs = (island: string): number => (island === 'island-3' ? 400 : 100);
    const settings = settingsFor({ stepsBySpeed: true, graceS: 30 }, { steps: 100 });
    const w = world({ settings, stepMs }).run();
    const last = ofKind(w, 'merge').at(-2)!;
    const steps = Object.fromEntries(last.contributions.map((c) => [c.island, c.steps]));
    expect(steps['island-1']).toBe(10);
    expect(steps['island-3']).toBeLessThanOrEqual(4);
    expect(w.runStep).toBe(100);
  });
});

describe('a synchronous start', () => {
  it('merges its steps one by one, and then every H', () => {
    const w = world({ settings: settingsFor({ startSteps: 4 }, { steps: 34 }) }).run();
    expect(ofKind(w, 'merge').map((r) => r.runStep)).toEqual([1, 2, 3, 4, 14, 24, 34]);
  });

  it('spreads the fragments after it', () => {
    const w = world({ settings: settingsFor({ startSteps: 2, fragments: 2 }, { steps: 22 }) }).run();
    const steps = (fragment: number) => ofKind(w, 'merge').flatMap((r) => (r.fragment === fragment ? r.runStep : []));
    expect([steps(0), steps(1)]).toEqual([
      [1, 2, 7, 17, 22],
      [1, 2, 12, 22],
    ]);
  });
});

describe('islands of different speed', () => {
  const stepMs = (island: string): number => (island === 'island-3' ? 1_500 : 100);

  it('never hold longer than the grace', () => {
    const w = world({ settings: settingsFor({ graceS: 2 }), stepMs }).run();
    expect(w.end?.status).toBe('finished');
    for (const island of w.islands) expect(island.longestHoldMs).toBeLessThanOrEqual(2_000 + 1_500 + 100);
  });

  it('are merged with what they have when a quorum of one opens the window', () => {
    const w = world({ settings: settingsFor({ quorum: 1, graceS: 2 }), stepMs }).run();
    const first = ofKind(w, 'merge')[0]!;
    const steps = Object.fromEntries(first.contributions.map((c) => [c.island, c.steps]));
    expect(steps['island-1']).toBeGreaterThanOrEqual(10);
    expect(steps['island-3']).toBeLessThan(10);
    expect(steps['island-3']).toBeGreaterThan(0);
  });

  it('do not hold at all when they may overlap merges with training', () => {
    const settings = settingsFor({ quorum: 1, graceS: 0.2, fragments: 2, overlapSteps: 9 });
    const w = world({ settings, stepMs: () => 150 }).run();
    expect(w.end?.status).toBe('finished');
    expect(Math.max(...w.islands.map((i) => i.longestHoldMs))).toBe(0);
    expect(new Set(w.merges.map((m) => m.fragment))).toEqual(new Set([0, 1]));
  });
});

describe('islands that come and go', () => {
  it('do not hold up the others, and rejoin at the next merge', () => {
    const w = world({ settings: settingsFor({}, { steps: 200 }) });
    let killed = false;
    const dispatch = w.dispatch.bind(w);
    w.dispatch = (event) => {
      dispatch(event);
      if (!killed && w.state.merges === 3) {
        killed = true;
        Object.assign(w.islands[1]!, { alive: false, nextMs: w.nowMs + 3_000 });
        dispatch({ kind: 'left', island: 'island-2', reason: 'connection closed' });
      }
    };
    w.run();
    const sizes = w.merges.map((m) => m.weights.length);
    expect(sizes.slice(0, 3)).toEqual([3, 3, 3]);
    expect(sizes[3]).toBe(2);
    expect(sizes.at(-1)).toBe(3);
    expect(
      ofKind(w, 'island')
        .filter((r) => r.island === 'island-2')
        .map((r) => r.status),
    ).toEqual(['joining', 'training', 'gone', 'joining', 'training']);
  });

  it('leave a run that waits, and then fails, when none is left', () => {
    const w = world({ settings: settingsFor({}, { gatherMs: 5_000, steps: 100_000 }) });
    const dispatch = w.dispatch.bind(w);
    w.dispatch = (event) => {
      if (w.state.merges === 2) {
        for (const island of w.islands) Object.assign(island, { alive: false, nextMs: Number.POSITIVE_INFINITY });
      }
      dispatch(event);
    };
    w.run();
    expect(
      ofKind(w, 'phase')
        .map((r) => r.phase)
        .slice(-2),
    ).toEqual(['paused', 'failed']);
    expect(w.end).toMatchObject({ status: 'failed', reason: 'no island came back within 5 s' });
  });

  it('fail a run that none joins', () => {
    const w = world({ islands: 0, settings: settingsFor({}, { gatherMs: 5_000 }) }).run();
    expect(w.end).toMatchObject({ status: 'failed', reason: 'no island came within 5 s' });
  });
});

describe('stop rules', () => {
  it.each([
    ['tokens', { tokens: 5_000 }, 20],
    ['loss', { loss: 3 }, 10],
    ['minutes', { minutes: 1e-4 }, 10],
  ] as const)('end the run early: %s', (_, stop, step) => {
    const w = world({ settings: settingsFor({}, { stop, evaluation: { everyMerges: 1, parts: 1 } }) }).run();
    expect(w.end?.status).toBe('finished');
    expect(w.runStep).toBe(step);
  });
});

describe('stopping', () => {
  it('makes a checkpoint first, from which the state goes on with nobody there', () => {
    const w = world();
    const dispatch = w.dispatch.bind(w);
    let asked = false;
    w.dispatch = (event) => {
      dispatch(event);
      if (!asked && w.state.merges === 1) {
        asked = true;
        dispatch({ kind: 'stop-requested' });
      }
    };
    w.run();
    expect(w.end?.status).toBe('interrupted');
    expect(ofKind(w, 'checkpoint')).toHaveLength(1);
    const { state: resumed } = react(settingsFor(), w.state, { kind: 'recovered', trainedMs: 1_000 }, 0);
    expect(resumed).toMatchObject({ phase: 'gathering', merges: 1, restore: '000001', stopRequested: false });
    expect(allIslands(resumed.islands).every((i) => i.status === 'gone')).toBe(true);
  });

  it('stops at once before training began', () => {
    const settings = settingsFor();
    const { state, effects } = react(settings, initialState(settings), { kind: 'stop-requested' }, 0);
    expect(state.phase).toBe('interrupted');
    expect(effects.at(-1)).toMatchObject({ kind: 'end', status: 'interrupted' });
  });
});

describe('hostile or late events', () => {
  const settings = settingsFor();
  it('of an island that is banned while it validates do not stop the run: others take its part', () => {
    const w = world();
    const dispatch = w.dispatch.bind(w);
    let liar = '';
    w.dispatch = (event) => {
      if (event.kind === 'evaluated' && event.island === liar) return;
      dispatch(event);
      if (liar !== '' || w.state.evaluation === null) return;
      // It has a part to validate, and never answers.
      liar = w.state.evaluation.parts[0]!.asked[0]!.island;
      for (let i = 0; i < 3; i++) dispatch({ kind: 'offended', island: liar, reason: 'test' });
    };
    w.run(120_000);
    expect(entriesOf(w.state.banned)).toEqual([[liar, 'test']]);
    expect(w.end?.status).toBe('finished');
    // Whoever asks after a restart hears the same reason.
    const told = ({ state }: Pick<World, 'state'>) => standingOf(settings, state, islandOf(state.islands, liar)!);
    const { state } = react(settings, w.state, { kind: 'recovered', trainedMs: 1_000 }, 0);
    expect(told(w)).toMatchObject({ state: 'banned', reason: 'offences' });
    expect(told({ state })).toEqual(told(w));
  });

  it('that hand in a second time for one pull are not kept', () => {
    const w = world();
    const dispatch = w.dispatch.bind(w);
    const again: boolean[] = [];
    w.dispatch = (event) => {
      if (event.kind === 'contributed') again.push(isAwaited(settings, w.state, event));
      dispatch(event);
      if (event.kind === 'contributed') again.push(isAwaited(settings, w.state, event));
    };
    w.run();
    expect(again).toEqual(Array.from({ length: 30 }, (_, i) => i % 2 === 0));
  });

  it('from unknown islands, of unknown fragments or of old versions change nothing', () => {
    const w = world();
    for (let i = 0; i < 60; i++) w.run(w.nowMs + 100);
    const joined = { ...w.state, phase: 'training' as const };
    for (const event of [
      { kind: 'due', island: 'stranger', fragment: 0, version: 0, slackMs: 0 },
      { kind: 'due', island: 'island-1', fragment: 99, version: 0, slackMs: 0 },
      { kind: 'due', island: 'island-1', fragment: 0, version: 77, slackMs: 0 },
      { kind: 'contributed', island: 'island-1', fragment: 99, version: 0, round: 1, steps: 1, tokens: 1 },
      { kind: 'evaluated', island: 'island-1', evaluation: 999, part: 0, lossSum: 0, tokens: 1 },
      { kind: 'evaluated', island: 'island-1', evaluation: 1, part: 999, lossSum: 0, tokens: 1 },
      { kind: 'saved', island: 'island-1', checkpoint: 'none' },
    ] as const) {
      const { state } = react(settings, joined, event, w.nowMs);
      expect({ ...state, islands: emptyRoster(1) }).toEqual({ ...joined, islands: emptyRoster(1) });
    }
  });
});
