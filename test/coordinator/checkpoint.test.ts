import { describe, expect, it } from 'vitest';
import { describeRecord } from '../../src/cli/live/describe.ts';
import type { Effect, Event } from '../../src/coordinator/events.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { RunState } from '../../src/coordinator/state.ts';
import { settingsFor } from './world.ts';

const settings = settingsFor({}, { expectedIslands: 3, leaseMs: 10_000 });

/** A run that trains, of three islands, as far as it gets with these events, each a millisecond later. */
function play(state: RunState, events: readonly (Event | number)[], fromMs = 0) {
  const effects: Effect[] = [];
  let nowMs = fromMs;
  for (const event of events) {
    if (typeof event === 'number') nowMs += event;
    else {
      const step = react(settings, state, event, ++nowMs);
      ({ state } = step);
      effects.push(...step.effects);
    }
  }
  return { state, effects, nowMs };
}
const names = ['a', 'b', 'c'];
const training = (): ReturnType<typeof play> => {
  const arrival = names.flatMap((island): Event[] => [
    { kind: 'joined', island, key: island, invitation: null, holds: [] },
    { kind: 'ready', island, restored: null },
  ]);
  // Nobody measures: validation is given up after a while.
  return play(initialState(settings), [...arrival, 120_000, { kind: 'tick' }, 120_000, { kind: 'tick' }]);
};

describe('a checkpoint', () => {
  it('that an island did not answer says which, in the state, the record, the store and the log', () => {
    const { state, nowMs } = training();
    expect(state.phase).toBe('training');
    const checkpoint = '000001';
    const { state: after, effects } = play(
      state,
      [
        { kind: 'stop-requested' },
        { kind: 'saved', island: 'a', checkpoint },
        { kind: 'left', island: 'b', reason: 'gone' },
        { kind: 'tick' },
        10_000,
        { kind: 'tick' },
      ],
      nowMs,
    );
    expect(after.phase).toBe('interrupted');
    expect(after.committed).toEqual({ id: checkpoint, merges: 0, missing: ['b', 'c'] });
    expect(effects).toContainEqual({ kind: 'commit', checkpoint, missing: ['b', 'c'] });
    const record = effects.flatMap((e) =>
      e.kind === 'record' && e.record.kind === 'checkpoint' ? [e.record] : [],
    )[0]!;
    expect(record.missing).toEqual(['b', 'c']);
    expect(describeRecord({ ...record, atS: 0 })).toBe('checkpoint 000001 is complete at step 0; without b, c');
  });

  it('that all have answered is complete at once, and says nothing of the kind', () => {
    const { state, nowMs } = training();
    const saved = names.map((island): Event => ({ kind: 'saved', island, checkpoint: '000001' }));
    const { state: after, effects } = play(state, [{ kind: 'stop-requested' }, ...saved], nowMs);
    expect(after.committed).toEqual({ id: '000001', merges: 0, missing: [] });
    const record = effects.flatMap((e) =>
      e.kind === 'record' && e.record.kind === 'checkpoint' ? [e.record] : [],
    )[0]!;
    expect(describeRecord({ ...record, atS: 0 })).toBe('checkpoint 000001 is complete at step 0');
  });

  const afterSaves = (saves: readonly (readonly [number, string])[], thenMs: number): RunState => {
    const { state, nowMs } = training();
    let [lastMs, events] = [0, [] as (Event | number)[]];
    for (const [atMs, island] of saves) {
      events = [...events, atMs - lastMs, { kind: 'saved', island, checkpoint: '000001' }];
      lastMs = atMs;
    }
    const alive = (fromMs: number, untilMs: number): (Event | number)[] => {
      const step = 5_000;
      return fromMs >= untilMs
        ? []
        : [Math.min(step, untilMs - fromMs), { kind: 'tick' }, ...alive(fromMs + step, untilMs)];
    };
    return play(state, [{ kind: 'stop-requested' }, ...events, ...alive(lastMs, thenMs)], nowMs).state;
  };

  it('waits for islands that all save for longer than a lease', () => {
    expect(afterSaves([], 150_000).phase).toBe('training');
    const saves = [60_000, 61_000, 62_000].map((atMs, i) => [atMs, names[i]!] as const);
    expect(afterSaves(saves, 62_000).committed).toMatchObject({ missing: [] });
  });

  it('waits for the last four times as long as half of them took, and no longer', () => {
    const saves = [
      [20_000, 'a'],
      [30_000, 'b'],
    ] as const;
    expect(afterSaves(saves, 115_000).committed).toBeNull();
    expect(afterSaves(saves, 125_000)).toMatchObject({ phase: 'interrupted', committed: { missing: ['c'] } });
  });

  it('that nobody answers ends after twenty leases', () => {
    expect(afterSaves([], 195_000).committed).toBeNull();
    expect(afterSaves([], 205_000)).toMatchObject({ committed: { missing: ['a', 'b', 'c'] } });
  });
});
