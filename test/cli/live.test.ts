import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ProgressDisplay } from '../../src/cli/live/progress-display.ts';
import { emptyView, fold, shareDone } from '../../src/cli/live/view.ts';
import type { LiveRecord } from '../../src/cli/records.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';
import { Watched } from '../coordinator/watched.ts';

const island = (i: number): string => `island-${i + 1}`;
const recordsOf = (islands: number): readonly LiveRecord[] => {
  const numbers = Array.from({ length: islands }, (_, i) => i);
  return [
    ...numbers.map(
      (i) => ({ kind: 'island', island: island(i), status: 'training', reason: 'ready', atS: 1 }) as const,
    ),
    ...numbers.map(
      (i) => ({ kind: 'progress', island: island(i), progress: { ...NO_PROGRESS, step: 10 }, atS: 2 }) as const,
    ),
  ];
};

/** The display is in the coordinator's own process. */
describe('the live display of a run with many islands', () => {
  it('looks at no more of what it knows with each record', () => {
    const readsOf = (islands: number): number => {
      const watched = new Watched();
      const view = recordsOf(islands).reduce((before, record) => fold(watched.of(before), record), emptyView(100));
      expect(shareDone(view)).toBe(0.1);
      return watched.reads / islands;
    };
    expect(readsOf(2_000)).toBeLessThan(1.6 * readsOf(100));
  });

  it('counts an island that leaves, and comes back, once', () => {
    const change = (status: 'gone' | 'training', i: number): LiveRecord => ({
      ...{ kind: 'island', island: island(i), status, reason: 'a test', atS: 3 },
    });
    let view = [...recordsOf(3), change('gone', 0), change('gone', 0)].reduce(fold, emptyView(100));
    expect(view.training).toEqual({ islands: 2, steps: 20 });
    view = [change('training', 0), change('training', 0)].reduce(fold, view);
    expect(view.training).toEqual({ islands: 3, steps: 30 });
  });

  it('has rows for some of them, and says how many more there are', () => {
    let written = '';
    const out = new Writable({
      write: (text, _, done) => {
        written += String(text);
        done();
      },
    });
    const display = new ProgressDisplay(out as NodeJS.WriteStream, 100, 'examples', {});
    for (const record of recordsOf(1_000)) display.take(record);
    written = '';
    display.take({ kind: 'merge', fragment: 0, version: 1, runStep: 10, contributions: [], missing: [], atS: 3 });
    const lines = written.trimEnd().split('\n');
    expect(lines).toHaveLength(65);
    expect(lines[0]).toMatch(/\d examples\/s/);
    expect(written).not.toContain('tokens');
    expect(lines.at(-1)).toContain('and 936 more; 1,000 of 1,000 train');
  });
});
