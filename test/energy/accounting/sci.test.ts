import { expect, test } from 'vitest';
import {
  embodiedG,
  gPerKWhFromPoundsPerMWh,
  networkEnergy,
  providerScore,
  SUSTAINABLE_WEB_DESIGN,
  softwareCarbonIntensity,
} from '../../../src/energy/accounting/index.ts';

test('embodied: 1000 kg over 4 years are 28.5 g an hour (Green Software Foundation, SCI specification)', () => {
  const hour = { totalG: 1_000_000, lifeHours: 4 * 365.25 * 24, reservedHours: 1, share: 1 };
  expect(embodiedG(hour)).toBeCloseTo(28.5, 1);
  expect(embodiedG({ ...hour, share: 0.5 })).toBeCloseTo(14.26, 2);
});

test('SCI is (O + M) per R', () => {
  expect(softwareCarbonIntensity(90, 10, 1e9, 'training token').gPerUnit).toBe(1e-7);
});

test('the provider score counts failed runs, and says by which tokens it divides', () => {
  const score = providerScore([
    { operationalG: 70, embodiedG: 10, tokens: 800, inModel: true },
    { operationalG: 15, embodiedG: 5, tokens: 200, inModel: false },
  ]);
  expect(score.gross).toMatchObject({ gPerUnit: 0.1, unit: 'training token of all runs' });
  expect(score.effective).toMatchObject({ gPerUnit: 0.125, unit: 'training token of the published model' });
});

test('what cannot be is refused', () => {
  const hour = { totalG: 1, lifeHours: 1, reservedHours: 1, share: 1 };
  expect(() => embodiedG({ ...hour, reservedHours: 2 })).toThrow('2 of 1 hours');
  expect(() => embodiedG({ ...hour, totalG: -1 })).toThrow('-1 g');
  expect(() => softwareCarbonIntensity(1, 0, 0, 'token')).toThrow('over 0 token');
  expect(() => networkEnergy(-1, SUSTAINABLE_WEB_DESIGN)).toThrow('-1 bytes');
});

test('the network is counted by an assumption that is named', () => {
  expect(networkEnergy(2e9, SUSTAINABLE_WEB_DESIGN)).toMatchObject({ wh: 118, origin: { quality: 'assumed' } });
  expect(networkEnergy(2e9, SUSTAINABLE_WEB_DESIGN).origin.method).toContain('59 Wh/GB: Sustainable Web Design');
});

test('pounds a MWh become grams a kWh', () => {
  expect(gPerKWhFromPoundsPerMWh(1000)).toBeCloseTo(453.592);
});
