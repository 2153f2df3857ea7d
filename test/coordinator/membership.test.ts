import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/coordinator/events.ts';
import { entriesOf } from '../../src/coordinator/persistent-map.ts';
import { allIslands, islandOf } from '../../src/coordinator/roster.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { RunState } from '../../src/coordinator/state.ts';
import { checkTallies } from './tallies.ts';
import { settingsFor } from './world.ts';

const settings = settingsFor({}, { expectedIslands: 2 });

const joined = (island: string, key: string, id: string | null, uses = 1): Event => ({
  kind: 'joined',
  island,
  key,
  invitation: id === null ? null : { id, uses },
  holds: [],
});

/** The state after all of these, and what islands heard that were refused. */
function stateAfter(...events: readonly Event[]): { readonly state: RunState; readonly refused: readonly string[] } {
  let state = initialState(settings);
  const refused: string[] = [];
  for (const [atMs, event] of events.entries()) {
    const reaction = react(settings, state, event, atMs);
    state = reaction.state;
    checkTallies(state);
    for (const effect of reaction.effects)
      if (effect.kind === 'send' && effect.message.kind === 'refused')
        refused.push(`${effect.island}: ${effect.message.what}`);
  }
  return { state, refused };
}

describe('an invitation for one island', () => {
  it('lets in one, and it again', () => {
    const { state, refused } = stateAfter(joined('a', 'A', 'i'), joined('a', 'A', null), joined('b', 'B', 'i'));
    expect(allIslands(state.islands).map(({ name }) => name)).toEqual(['a']);
    expect(refused).toEqual(['b: The invitation is used up: its limit was 1.']);
  });

  it('lets in one where a run was moved and its names are free', () => {
    const { state, refused } = stateAfter(
      joined('a', 'A', 'old', 2),
      joined('b', 'B', 'old', 2),
      { kind: 'keys-forgotten' },
      joined('a', 'new A', 'i'),
      joined('b', 'new B', 'i'),
    );
    expect(refused).toEqual(['b: The invitation is used up: its limit was 1.']);
    expect(islandOf(state.islands, 'a')).toMatchObject({ key: 'new A', invitation: 'i' });
    expect(islandOf(state.islands, 'b')).toMatchObject({ key: '', invitation: null });
  });
});

it('invitations of a host are forgotten with the keys: neither counted nor taken back', () => {
  const { state } = stateAfter(
    joined('a', 'A', 'i', 9),
    { kind: 'revoked', invitation: 'i', islands: true },
    { kind: 'keys-forgotten' },
  );
  expect([entriesOf(state.islands.byInvitation), state.revoked]).toEqual([[], {}]);
});

it('an invitation that was taken back lets nobody in under a free name either', () => {
  const { refused } = stateAfter(
    joined('a', 'A', null),
    { kind: 'keys-forgotten' },
    { kind: 'revoked', invitation: 'i', islands: false },
    joined('a', 'new A', 'i'),
  );
  expect(refused).toEqual(['a: The host has taken this invitation back.']);
});
