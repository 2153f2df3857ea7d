import { expect, it } from 'vitest';
import { runTrial } from '../../bench/quality/run-trial.ts';
import { auto, base, streaming } from '../../bench/quality/trials.ts';

/** The benchmarks of quality train with the machines of islands and coordinator: what those are told, they have to tell. */
it.each([
  ['rounds', auto('small', 12, 2, { innerSteps: 4 })],
  ['fragments in turn', streaming('small', 12, 2, { innerSteps: 8 })],
])('islands of a trial are merged until its end: %s', { timeout: 60_000 }, async (_, trial) => {
  const untrained = await runTrial({ ...base('small', 12, 2, { who: 'untrained' }), seed: 1 });
  const result = await runTrial({ ...trial, seed: 1 });
  expect(result.merges).toBeGreaterThan(1);
  // Of fragments in turn some work of the last steps comes too late.
  expect(result.goodput).toBeGreaterThan(0.8);
  expect(result.test).toBeLessThan(untrained.test - 0.1);
});
