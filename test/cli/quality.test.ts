import { expect, it } from 'vitest';
import { risenSince } from '../../src/cli/report/quality.ts';

it('a run that was trained for too long is told so, and no other', () => {
  const at = (after: number | null, lowest: number) =>
    risenSince({ validationLoss: { before: 6, after }, lowestLoss: { loss: lowest, step: 120 } });
  expect(at(3.5, 3.1)).toMatch(/lowest at step 120, 3\.1000, and has risen since/);
  for (const after of [3.1, 3.11, null]) expect(at(after, 3.1)).toBeNull();
  // Of earlier versions, and of one that was never measured.
  const validationLoss = { before: 6, after: 3 };
  expect(risenSince({ validationLoss })).toBeNull();
  expect(risenSince({ validationLoss, lowestLoss: null })).toBeNull();
});
