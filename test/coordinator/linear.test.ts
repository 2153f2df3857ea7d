import { describe, expect, it } from 'vitest';
import type { Effect, Event } from '../../src/coordinator/events.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { RunSettings, RunState } from '../../src/coordinator/state.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';
import { Watched } from './watched.ts';
import { settingsFor } from './world.ts';

/** How much of the state is looked at for each island, counted and not timed: as much where there are many as where there are few. */
/** More than have a vote on lengths and paces. */
const FEW = 260;
const MANY = 1_040;
/** Tables of many are a level deeper. A look at everybody would make it four times as much. */
const MOST_GROWTH = 1.6;

class Crowd {
  readonly names: readonly string[];
  readonly settings: RunSettings;
  /** By what happened: reads for each island. */
  readonly reads: Record<string, number> = {};
  state: RunState;
  nowMs = 0;
  readonly #watched = new Watched();

  constructor(islands: number, settings: RunSettings) {
    this.names = Array.from({ length: islands }, (_, i) => `island-x-${i + 1}-of-them`);
    this.settings = settings;
    this.state = initialState(settings);
  }

  happens(event: Event): readonly Effect[] {
    const { state, effects } = react(this.settings, this.#watched.of(this.state), event, this.nowMs);
    this.state = state;
    return effects;
  }

  each(what: string, happening: (island: string, number: number) => void, names = this.names): void {
    const before = this.#watched.reads;
    for (const [number, island] of names.entries()) happening(island, number);
    // The most of several times.
    this.reads[what] = Math.max(this.reads[what] ?? 0, (this.#watched.reads - before) / names.length);
  }

  join(): void {
    this.each('joined', (island) => {
      this.happens({ kind: 'joined', island, key: island, invitation: { id: 'i', uses: 1e6 }, holds: [] });
    });
  }

  ready(): void {
    this.each('ready', (island) => {
      this.happens({ kind: 'ready', island, restored: null });
    });
  }

  contribute(island: string, version: number, round: number): readonly Effect[] {
    return this.happens({
      ...{ kind: 'contributed', island, fragment: 0, version, round },
      ...{ steps: 5, tokens: 50, length: 1 },
    });
  }

  evaluate(): void {
    const asked = this.state.evaluation!.parts.flatMap(({ asked: of }, part) =>
      of.map(({ island }) => ({ island, part })),
    );
    const evaluation = this.state.evaluation!.id;
    for (const { island, part } of asked)
      this.happens({ kind: 'evaluated', island, evaluation, part, lossSum: 3, tokens: 1 });
  }
}

/** All that train are merged together. */
function together(islands: number): Crowd['reads'] {
  const crowd = new Crowd(
    islands,
    settingsFor(
      { innerSteps: 10, graceS: 600, quorum: islands, fragments: 2 },
      {
        ...{ expectedIslands: islands, leaseMs: 1e9, gatherMs: 1e9, steps: 1e6 },
        ...{ evaluation: { everyMerges: 1, parts: 2 }, checkpointEveryMerges: 1 },
      },
    ),
  );
  crowd.join();
  crowd.ready();
  crowd.evaluate();
  expect(crowd.state.phase).toBe('training');
  for (let version = 0; version < 3; version++) {
    // The last time half of them say so long before that can be: they are looked at later, and together.
    const early = version === 2 ? islands / 2 : 0;
    crowd.nowMs += early > 0 ? 1 : 10_000;
    crowd.each('due', (island, i) => {
      if (early > 0 && i === early) crowd.nowMs += 1_000;
      crowd.happens({ kind: 'due', island, fragment: 0, version, slackMs: 1e6 });
    });
    expect(crowd.state.early.size).toBe(early > 0 ? islands : 0);
    if (early > 0) expect(crowd.state.earlyFromMs % 250).toBe(0);
    crowd.nowMs += 100_000;
    crowd.happens({ kind: 'tick' });
    expect(crowd.state.fragments[0]!.stage.kind).toBe('pulling');
    crowd.each('contributed', (island) => crowd.contribute(island, version, version + 1));
    expect(crowd.state.fragments[0]!.version).toBe(version + 1);
  }
  for (const island of crowd.names) crowd.happens({ kind: 'due', island, fragment: 1, version: 0, slackMs: 0 });
  for (const island of crowd.names)
    crowd.happens({ kind: 'contributed', island, fragment: 1, version: 0, round: 1, steps: 5, tokens: 50, length: 1 });
  // Validation and a checkpoint go on meanwhile.
  expect(crowd.state.evaluation).not.toBeNull();
  expect(crowd.state.checkpoint).not.toBeNull();
  crowd.each('progress', (island) => crowd.happens({ kind: 'progress', island, progress: NO_PROGRESS }));
  crowd.each('offended', (island) => crowd.happens({ kind: 'offended', island, reason: 'a test' }));
  const half = crowd.names.slice(0, islands / 2);
  crowd.each('left', (island) => crowd.happens({ kind: 'left', island, reason: 'gone' }), half);
  crowd.each(
    'back',
    (island) => {
      crowd.happens({ kind: 'joined', island, key: island, invitation: null, holds: [] });
      crowd.happens({ kind: 'ready', island, restored: null });
    },
    half,
  );
  crowd.each('ticks', () => crowd.happens({ kind: 'tick' }));
  const { id } = crowd.state.checkpoint!;
  crowd.each('saved', (island) => crowd.happens({ kind: 'saved', island, checkpoint: id }));
  expect(crowd.state.committed!.missing).toEqual([]);
  crowd.each('banned', (island) => {
    for (const reason of ['once more', 'and again']) crowd.happens({ kind: 'offended', island, reason });
  });
  expect(crowd.state.banned.size).toBe(islands);
  return crowd.reads;
}

/** Each is merged by itself, whenever it is due. */
function oneByOne(islands: number): Crowd['reads'] {
  const crowd = new Crowd(
    islands,
    settingsFor(
      { innerSteps: 10, pull: 'due', quorum: 1, fragments: 1, graceS: 0, maxStaleness: 1e6 },
      {
        ...{ expectedIslands: islands, leaseMs: 1e9, gatherMs: 1e9, steps: 1e6 },
        ...{ evaluation: { everyMerges: 2, parts: 2 }, checkpointEveryMerges: 5 },
      },
    ),
  );
  crowd.join();
  crowd.ready();
  crowd.evaluate();
  // Where all have voted on lengths and paces, as many votes are kept as at most.
  for (const [what, round] of [
    ['merged first', 1],
    ['merged', 2],
  ] as const)
    crowd.each(what, (island) => {
      crowd.nowMs += 100;
      const { version } = crowd.state.fragments[0]!;
      crowd.happens({ kind: 'due', island, fragment: 0, version, slackMs: 0 });
      crowd.contribute(island, version, round);
    });
  delete crowd.reads['merged first'];
  expect(crowd.state.merges).toBe(2 * islands);
  // A merge of one of many is no reason to ask others for a validation, and all for a checkpoint.
  expect(crowd.state.evaluations).toBeLessThanOrEqual(1 + 8);
  expect(crowd.state.evaluations).toBeGreaterThanOrEqual(1 + 3);
  expect(crowd.state.checkpoints).toBeLessThanOrEqual(8);
  expect(crowd.state.checkpoints).toBeGreaterThanOrEqual(3);
  return crowd.reads;
}

describe('what is looked at for an island does not grow with the number of islands', () => {
  for (const [how, readsOf] of Object.entries({ together, 'one by one': oneByOne }))
    it(`where they are merged ${how}`, () => {
      const [few, many] = [readsOf(FEW), readsOf(MANY)];
      for (const [what, reads] of Object.entries(many))
        expect([what, few[what], reads]).toEqual([
          what,
          few[what],
          expect.toSatisfy((n: number) => n < MOST_GROWTH * few[what]!),
        ]);
    });
});
