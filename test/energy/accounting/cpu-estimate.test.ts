import { expect, it } from 'vitest';
import { estimateEnergy } from '../../../src/energy/accounting/index.ts';

it('turns CPU seconds into watt-hours and grams, and says how', () => {
  const estimate = estimateEnergy(3600, 10, 500);
  expect(estimate).toMatchObject({ energyWh: 10, gCO2e: 5 });
  expect(estimate.energyMethod).toContain('3600 CPU seconds × 10 W');
  expect(estimate.energyQuality).toBe('assumed');
  expect(estimate.carbonMethod).toContain('500 g/kWh');
});
