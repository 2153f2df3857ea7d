import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { initialState } from '../../src/coordinator/run.ts';
import { RunStore } from '../../src/coordinator/store/run-store.ts';
import { settingsFor } from './world.ts';

const file = (): string => path.join(mkdtempSync(path.join(tmpdir(), 'heliotrope-store-')), 'run.sqlite');
const state = initialState(settingsFor());

describe('the run store', () => {
  it('keeps events in their order, also those not yet flushed, across a reopening', () => {
    const name = file();
    const store = new RunStore(name);
    for (let i = 0; i < 2_500; i++) store.append(i, { kind: 'left', island: `island-${i}`, reason: 'test' });
    store.close();
    const events = new RunStore(name).events();
    expect(events).toHaveLength(2_500);
    expect(events.map((e) => e.atMs)).toEqual(Array.from({ length: 2_500 }, (_, i) => i));
  });

  it('gives the newest complete checkpoint, and not one under way', () => {
    const store = new RunStore(file());
    expect(store.newestCheckpoint()).toBeUndefined();
    store.saveCheckpoint('000001', { ...state, merges: 1 });
    expect(store.newestCheckpoint()).toBeUndefined();
    store.commitCheckpoint('000001', 2);
    store.saveCheckpoint('000002', { ...state, merges: 2 });
    expect(store.newestCheckpoint()).toEqual({ id: '000001', state: { ...state, merges: 1 } });
  });

  it('forgets all but as many as are to be kept, and those that were never completed', () => {
    const store = new RunStore(file());
    store.saveCheckpoint('000001', state);
    store.saveCheckpoint('000002', state);
    expect(store.commitCheckpoint('000002', 2)).toEqual(['000001']);
    store.saveCheckpoint('000003', state);
    expect(store.commitCheckpoint('000003', 2)).toEqual([]);
    store.saveCheckpoint('000004', state);
    expect(store.commitCheckpoint('000004', 2)).toEqual(['000002']);
    expect(store.newestCheckpoint()?.id).toBe('000004');
  });
});
