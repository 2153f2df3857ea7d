import { describe, expect, test } from 'vitest';
import { FOUND_BEFORE, outcomeOf, RULES, readCity, SETTINGS } from './citylearn.ts';

const folder = process.env.HELIOTROPE_ENERGY_DATA;

/** The same homes, battery and rules gave an independent simulation these; it was rounded to whole numbers. */
describe.skipIf(folder === undefined)('fifteen real homes over a year (HELIOTROPE_ENERGY_DATA)', () => {
  const cases = SETTINGS.flatMap((setting) => RULES.map((rule) => [setting.words, rule, setting] as const));
  test.each(cases)('%s, %s: what compute imports more, and what that emits', (_, rule, setting) => {
    const { duty, extraImport, counterfactualGPerKWh, attributionalGPerKWh, report } = outcomeOf(
      readCity(folder!),
      setting,
      rule,
    );
    const [dutyPercent, importPercent, gPerKWh] = FOUND_BEFORE[setting.id][rule];
    expect(Math.round(duty * 100)).toBe(dutyPercent);
    expect(Math.round(extraImport * 100)).toBe(importPercent);
    expect(Math.abs(counterfactualGPerKWh - gPerKWh)).toBeLessThan(1);
    if (rule === 'surplus') expect(attributionalGPerKWh).toBeCloseTo(41);
    expect(report.quality).toBe('modelled');
  });
});
