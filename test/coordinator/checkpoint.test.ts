import { describe, expect, it } from 'vitest';
import { describeRecord } from '../../src/cli/live/describe.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { Effect, Event, RunState } from '../../src/coordinator/state.ts';
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
});
