import { expect, it } from 'vitest';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { Event, Island, RunState } from '../../src/coordinator/state.ts';
import { settingsFor } from './world.ts';

/**
 * How many islands one event looks at. Each island in the state is put behind a proxy that counts reads, so that this says the same on a slow machine: an event that looked at
 * everybody would read twenty times as much of two thousand islands as of a hundred.
 */
function readsOf(islands: number): Readonly<Record<string, number>> {
  const settings = settingsFor(
    { innerSteps: 10, graceS: 60, quorum: islands, fragments: 2 },
    { expectedIslands: islands, leaseMs: 1e9 },
  );
  let state: RunState = initialState(settings);
  let nowMs = 0;
  let reads = 0;
  const happens = (event: Event): number => {
    const before = reads;
    const step = react(settings, state, event, nowMs);
    state = step.state;
    const took = reads - before;
    for (const effect of step.effects)
      if (effect.kind === 'send' && effect.message.kind === 'evaluate')
        for (const part of effect.message.parts)
          happens({
            kind: 'evaluated',
            island: effect.island,
            evaluation: effect.message.evaluation,
            part,
            lossSum: 3,
            tokens: 1,
          });
    return took;
  };
  const names = Array.from({ length: islands }, (_, i) => `island-${i + 1}`);
  for (const island of names)
    happens({ kind: 'joined', island, key: island, invitation: { id: 'i', uses: 1e6 }, holds: [] });
  for (const island of names) happens({ kind: 'ready', island, restored: null });
  expect(state.phase).toBe('training');
  const watched = (island: Island): Island =>
    new Proxy(island, {
      get(target, name) {
        reads++;
        return Reflect.get(target, name) as unknown;
      },
    });
  const { all } = state.islands;
  state = {
    ...state,
    islands: {
      ...state.islands,
      all: {
        ...all,
        branches: all.branches.map(
          (branch) =>
            branch?.map((leaf) => leaf && Object.fromEntries(Object.entries(leaf).map(([k, v]) => [k, watched(v)]))) ??
            null,
        ),
      },
    },
  };
  nowMs += 10_000;
  const due = names.map((island) => happens({ kind: 'due', island, fragment: 0, version: 0, slackMs: 0 }));
  expect(state.fragments[0]!.stage.kind).toBe('pulling');
  const contributed = names.map((island) =>
    happens({ kind: 'contributed', island, fragment: 0, version: 0, round: 1, steps: 5, tokens: 50, length: 1 }),
  );
  expect(state.merges).toBe(1);
  const left = names.slice(0, 50).map((island) => happens({ kind: 'left', island, reason: 'gone' }));
  // The last of each opens the next stage, and looks at all: once a merge.
  const usual = (counts: readonly number[]): number => Math.max(...counts.slice(0, -1));
  const ticks = happens({ kind: 'tick' });
  return { due: usual(due), contributed: usual(contributed), left: usual(left), tick: ticks };
}

it('an event looks at as many islands as it is about, whether there are a hundred or two thousand', () => {
  const [few, many] = [readsOf(100), readsOf(2_000)];
  for (const [event, count] of Object.entries(many)) {
    expect([event, count]).toEqual([event, expect.toSatisfy((n: number) => n <= few[event]! + 40)]);
    expect(count).toBeLessThan(200);
  }
});
