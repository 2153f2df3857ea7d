import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../src/cli/plan.ts';
import type { Summary } from '../../src/cli/records.ts';
import { run, scratch, tinyRun } from './command.ts';

describe('train --dry-run', { timeout: 240_000 }, () => {
  it.each([
    [
      'a model whose logits need most',
      { model: { architecture: 'gpt2', layers: 1, width: 64, heads: 1 }, batch: 16 },
      4096,
    ],
    ['a model whose exchange needs most', { model: { layers: 2, width: 384, heads: 4 }, batch: 1 }, 4096],
  ])('tells the memory of an island within 10 %: %s', async (_, more, vocabularySize) => {
    const folder = scratch();
    const file = tinyRun(folder, 'memory', {
      ...more,
      tokenizer: { vocabularySize },
      context: 128,
      islands: 2,
      outer: { innerSteps: 2 },
      stop: { steps: 10 },
    });
    const told = JSON.parse((await run(['train', file, '--dry-run', '--json'], folder)).stdout) as Plan;
    const trained = await run(['train', file, '--json'], folder);
    expect(trained.stdout).toContain('finished');
    const had = JSON.parse(trained.stdout) as Summary;
    const most = Math.max(...had.islandDetails.map(({ peakMemoryBytes }) => peakMemoryBytes));
    expect(told.memoryPerIslandBytes / most).toBeGreaterThan(0.9);
    expect(told.memoryPerIslandBytes / most).toBeLessThan(1.1);
    // Of a small coordinator the peak is when its garbage collector comes.
    expect(told.coordinatorMemoryBytes / had.coordinatorMemoryBytes!).toBeGreaterThan(0.7);
    expect(told.coordinatorMemoryBytes / had.coordinatorMemoryBytes!).toBeLessThan(1.4);
    // What it was tried out in is gone, and no run was made before the real one.
    expect(readdirSync(path.join(folder, 'home')).filter((name) => name.startsWith('rehearsal'))).toEqual([]);
    expect(existsSync(path.join(folder, 'runs/memory-1'))).toBe(false);
  });
});
