import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { islandOf } from '../../src/coordinator/roster.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { LIES, type LieName } from './liars.ts';
import { settingsFor, World, type WorldOptions } from './world.ts';

const world = (lies: Readonly<Record<string, LieName>>, change: Partial<WorldOptions> = {}): World =>
  new World({
    settings: settingsFor({}, { evaluation: { everyMerges: 1, parts: 4 }, expectedIslands: 4 }),
    islands: 4,
    random: seededRandom(1),
    stepMs: () => 100,
    lies: Object.fromEntries(Object.entries(lies).map(([island, lie]) => [island, LIES[lie]])),
    ...change,
  });
const ofKind = <K extends RunRecord['kind']>(w: World, kind: K) =>
  w.records.filter((r): r is RunRecord & { kind: K } => r.kind === kind);
const losses = (w: World) => ofKind(w, 'evaluation').map(({ loss }) => loss);

describe('an evaluation', () => {
  it('measures nothing twice where all agree', () => {
    const w = world({});
    let asked = 0;
    const dispatch = w.dispatch.bind(w);
    w.dispatch = (event) => {
      if (event.kind === 'evaluated') asked++;
      dispatch(event);
    };
    w.run();
    expect(losses(w)).toEqual([3, 3, 3, 3, 3, 3]);
    expect(asked).toBe(4 * 6);
    expect(ofKind(w, 'doubted')).toEqual([]);
  });

  it('asks another island when one lets its time pass, and that one last from then on', () => {
    const w = world({ 'island-1': 'never answers evaluate' }).run();
    expect(w.end?.status).toBe('finished');
    expect(losses(w)).toEqual([3, 3, 3, 3, 3, 3]);
    expect(ofKind(w, 'doubted')).toEqual([
      { kind: 'doubted', island: 'island-1', reason: 'it did not answer in time' },
    ]);
  });

  it.each(['evaluates to nothing', 'evaluates politely', 'evaluates boastfully', 'answers for others'] as const)(
    'is not led astray by one that %s',
    (lie) => {
      const w = world({ 'island-2': lie }).run();
      expect(w.end?.status).toBe('finished');
      expect(losses(w)).toEqual([3, 3, 3, 3, 3, 3]);
      expect(w.state.banned.size).toBe(0);
    },
  );

  it('meets stop.loss by what two measured, and not by one that is polite', () => {
    const settings = settingsFor({}, { stop: { loss: 0.5 }, evaluation: { everyMerges: 1, parts: 1 } });
    const w = world({ 'island-1': 'evaluates politely' }, { settings, islands: 3 }).run();
    expect(w.runStep).toBe(50);
    expect(losses(w)).toEqual([3, 3, 3, 3, 3, 3]);
  });

  it('is given up, and the run goes on and ends, when nobody answers', () => {
    const mute = 'never answers evaluate';
    const w = world({ 'island-1': mute, 'island-2': mute, 'island-3': mute, 'island-4': mute }).run();
    expect([w.end?.status, w.runStep, w.state.lastLoss]).toEqual(['finished', 50, null]);
    const given = ofKind(w, 'evaluation-given-up');
    expect([given[0], given.at(-1)]).toMatchObject([
      { label: 'before', reason: 'nobody did in time' },
      { label: 'after', reason: 'nobody did in time' },
    ]);
    expect(ofKind(w, 'phase').at(-1)).toMatchObject({ phase: 'finished', reason: 'nobody has validated it' });
  });

  it('is given up at once when no island can', () => {
    const w = world({});
    const dispatch = w.dispatch.bind(w);
    w.dispatch = (event) => dispatch(event.kind === 'joined' ? { ...event, evaluates: false } : event);
    w.run();
    expect([w.end?.status, w.runStep, losses(w)]).toEqual(['finished', 50, []]);
    expect(ofKind(w, 'evaluation-given-up')[0]).toMatchObject({
      reason: expect.stringMatching(/no island .* held-out data; .*--data-root/),
    });
  });

  it('asks those that can', () => {
    const w = world({});
    const dispatch = w.dispatch.bind(w);
    const asked = new Set<string>();
    w.dispatch = (event) => {
      if (event.kind === 'evaluated') asked.add(event.island);
      dispatch(event.kind === 'joined' && event.island !== 'island-3' ? { ...event, evaluates: false } : event);
    };
    w.run();
    expect(losses(w)).toEqual([3, 3, 3, 3, 3, 3]);
    expect([...asked]).toEqual(['island-3']);
  });

  it('takes what two of three say of a part', () => {
    const settings = settingsFor({}, { expectedIslands: 5, evaluation: { everyMerges: 1, parts: 5 } });
    const w = world({ 'island-4': 'evaluates politely' }, { settings, islands: 5 }).run();
    expect(losses(w)).toEqual([3, 3, 3, 3, 3, 3]);
    expect(ofKind(w, 'doubted')[0]).toMatchObject({ island: 'island-4', reason: 'others measured something else' });
    expect(islandOf(w.state.islands, 'island-4')!.lapses).toBeGreaterThan(0);
  });
});
