import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { islandOf } from '../../src/coordinator/roster.ts';
import { standingOf } from '../../src/coordinator/standing.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { settingsFor, World, type WorldOptions } from './world.ts';

const world = (change: Partial<WorldOptions> = {}): World =>
  new World({ settings: settingsFor(), islands: 3, random: seededRandom(1), stepMs: () => 100, ...change });
const mergesOf = (w: World) => w.records.filter((r): r is RunRecord & { kind: 'merge' } => r.kind === 'merge');

/** Runs until the island has taken so many steps, and is then stopped by its owner's rules for so long. */
function restAt(w: World, name: string, steps: number, forMs: number): void {
  const island = w.islands.find((i) => i.name === name)!;
  while (island.steps < steps) w.run(w.nowMs + 10);
  w.rest(name, forMs);
}

describe('an island that its owner’s rules stop in mid-round', () => {
  it('hands in the steps that it has, and the others do not wait for it', () => {
    const w = world();
    restAt(w, 'island-2', 3, 1_000_000);
    w.run();
    expect(w.end?.status).toBe('finished');
    const [first, second] = mergesOf(w);
    const stepsOf = (merge: typeof first) => Object.fromEntries(merge!.contributions.map((c) => [c.island, c.steps]));
    // It may have been in a step when the rule came.
    expect(stepsOf(first)).toEqual({ 'island-1': 10, 'island-2': expect.toBeOneOf([3, 4]), 'island-3': 10 });
    expect(stepsOf(second)).toEqual({ 'island-1': 10, 'island-3': 10 });
    // Ten steps take a second: nobody waited for the absent one.
    expect(w.nowMs).toBeLessThan(15_000);
  });

  it('is away, with its own words, and keeps its shard; a connection that ends is no failure', () => {
    const w = world();
    restAt(w, 'island-2', 3, 20_000);
    w.run(w.nowMs + 5_000);
    const island = islandOf(w.state.islands, 'island-2')!;
    expect([island.status, island.rest?.connected]).toEqual(['away', false]);
    expect(standingOf(w.options.settings, w.state, island)).toMatchObject({
      state: 'away',
      reason: 'policy',
      fix: null,
    });
    const { shard } = island;
    w.options = { ...w.options, settings: { ...w.options.settings, steps: 500 } };
    w.run(40_000);
    expect(islandOf(w.state.islands, 'island-2')).toMatchObject({ status: 'training', shard });
  });

  it('has its place back when it comes back', () => {
    const w = world({ settings: settingsFor({}, { steps: 200 }) });
    restAt(w, 'island-2', 3, 5_000);
    w.run();
    const last = mergesOf(w).at(-1)!;
    expect(last.contributions.map((c) => c.island)).toEqual(['island-1', 'island-2', 'island-3']);
  });
});

describe('a run whose islands are all away', () => {
  it('merges what they have, waits without failing, and goes on when the first is back', () => {
    const w = world();
    for (const [name, hours] of [
      ['island-1', 9],
      ['island-2', 9],
      ['island-3', 6],
    ] as const)
      restAt(w, name, 3, hours * 3_600_000);
    w.run(5.9 * 3_600_000);
    expect([w.state.phase, w.end]).toEqual(['paused', undefined]);
    const merged = mergesOf(w)
      .flatMap((m) => m.contributions)
      .reduce((sum, c) => sum + c.steps, 0);
    expect(merged).toBe(w.islands.reduce((sum, i) => sum + i.steps, 0));
    w.run(7 * 3_600_000);
    expect(w.end?.status).toBe('finished');
  }, 120_000);

  it('fails when none of them came back a day after it said', () => {
    const w = world({ islands: 1, settings: settingsFor({}, { expectedIslands: 1 }) });
    restAt(w, 'island-1', 3, 3_600_000);
    w.run(w.nowMs + 5_000);
    // Its machine is gone for good.
    w.islands[0]!.nextMs = Number.POSITIVE_INFINITY;
    w.run(24 * 3_600_000);
    expect(w.end).toBeUndefined();
    w.run(26 * 3_600_000);
    expect(w.end?.status).toBe('failed');
  }, 120_000);
});

it('one that is away before the run begins is not waited for, and trains when it may', () => {
  const w = world({ settings: settingsFor({}, { steps: 300 }) });
  w.run(150);
  w.rest('island-3', 6_000);
  w.run(4_000);
  expect(w.state.phase).toBe('training');
  expect(islandOf(w.state.islands, 'island-3')?.status).toBe('away');
  w.run();
  expect(
    mergesOf(w)
      .at(-1)!
      .contributions.map((c) => c.island),
  ).toContain('island-3');
});

it('a coordinator that is killed knows afterwards who was away, and waits for none of them', () => {
  const w = world({ settings: settingsFor({}, { steps: 100 }) });
  restAt(w, 'island-2', 3, 60_000);
  w.run(w.nowMs + 2_000);
  w.kill();
  w.run(w.nowMs + 8_000);
  expect(w.kills).toBe(1);
  expect(islandOf(w.state.islands, 'island-2')?.status).toBe('away');
  w.run();
  expect(w.end?.status).toBe('finished');
});
