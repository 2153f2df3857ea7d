import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readHours, type Scores, scoresOf } from './pvwatts.ts';
import { readThinnedYear } from './reference.ts';

const folder = process.env.HELIOTROPE_ENERGY_DATA;
const wholeYear = folder === undefined ? undefined : path.join(folder, 'pvlib/pvwatts_8760_rackmount.csv');

function expectAgreement({ poa, acFromDc, ac, cellBiasC }: Scores): void {
  expect(poa.maePercent).toBeLessThan(2);
  expect(Math.abs(poa.biasPercent)).toBeLessThan(2);
  expect(acFromDc.maePercent).toBeLessThan(0.01);
  expect(Math.abs(ac.biasPercent)).toBeLessThan(2);
  expect(ac.maePercent).toBeLessThan(2.5);
  expect(Math.abs(cellBiasC)).toBeLessThan(1.5);
}

/** NREL's PVWatts v5 near Denver: test/fixtures/pvwatts-denver/README.md. */
describe('beside PVWatts v5', () => {
  it('every eleventh hour of light of a year agrees', () => {
    const hours = readHours(readThinnedYear());
    expect(hours).toHaveLength(391);
    expectAgreement(scoresOf(hours));
  });

  it.skipIf(wholeYear === undefined)('all 8,760 hours agree (HELIOTROPE_ENERGY_DATA)', () => {
    const hours = readHours(readFileSync(wholeYear!, 'utf8'));
    expect(hours).toHaveLength(8760);
    expectAgreement(scoresOf(hours));
  });
});
