import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Finding, type SanityInput, sanityFindings } from '../../../src/energy/site/sanity.ts';

const NOON = 55;
const shown = (findings: readonly Finding[]): string =>
  findings.map((f) => `${f.severity} ${f.quantity}: ${f.what}`).join('\n');

describe('meters that fit together', () => {
  it.each<[string, SanityInput]>([
    ['noon, exporting', { readings: { 'pv-power': 4_000, 'grid-power': -3_200 }, sunElevationDeg: NOON, peakW: 8_000 }],
    ['night', { readings: { 'pv-power': 0, 'grid-power': 350 }, sunElevationDeg: -20 }],
    [
      'evening from the battery',
      {
        readings: { 'pv-power': 100, 'grid-power': 10, 'battery-power': 600, 'battery-charge': 70 },
        sunElevationDeg: 2,
      },
    ],
    ['a car at noon', { readings: { 'pv-power': 4_000, 'grid-power': 7_000 }, sunElevationDeg: NOON }],
    [
      'with the machine in the household',
      { readings: { 'pv-power': 0, 'grid-power': 800, 'load-power': 800, 'compute-power': 300 }, sunElevationDeg: -20 },
    ],
    [
      'with the machine beside the household',
      { readings: { 'pv-power': 0, 'grid-power': 1_400, 'load-power': 800, 'compute-power': 600 } },
    ],
    ['a dark noon', { readings: { 'pv-power': 180, 'grid-power': 400 }, sunElevationDeg: 15, peakW: 8_000 }],
    ['nothing known', { readings: {} }],
  ])('%s', (_, input) => {
    expect(shown(sanityFindings(input))).toBe('');
  });
});

describe('meters that do not', () => {
  it.each<[string, SanityInput, RegExp]>([
    [
      'the grid is turned: it imports most when the sun is highest',
      { readings: { 'pv-power': 4_000, 'grid-power': 3_200 }, sunElevationDeg: NOON },
      /^doubtful grid-power: the sun is at 55°: PV should be positive.*grid-power is \+3,200 W, pv-power 4,000 W.*household of 7,200 W; turned, it is one of 800 W.*is the sign of grid-power turned\?$/,
    ],
    [
      'the grid is turned: at night it exports',
      { readings: { 'pv-power': 0, 'grid-power': -600 }, sunElevationDeg: -20 },
      /^wrong grid-power: grid-power is −600 W, pv-power 0 W: that leaves −600 W for a household.*turned\?$/,
    ],
    [
      'the battery is turned',
      {
        readings: { 'pv-power': 3_000, 'grid-power': -50, 'battery-power': 2_500, 'load-power': 450 },
        sunElevationDeg: NOON,
      },
      /^wrong battery-power: .*with battery-power turned it fits: is the sign of battery-power turned\?$/,
    ],
    [
      'a full battery that charges',
      { readings: { 'battery-power': -2_000, 'battery-charge': 100 } },
      /^wrong battery-power: the battery is full \(100 %\).*turned\?$/,
    ],
    [
      'PV in kW',
      { readings: { 'pv-power': 4.2, 'grid-power': -3_400 }, sunElevationDeg: NOON, peakW: 8_000 },
      /^doubtful pv-power: pv-power is 4.2 W with the sun at 55° and 8,000 W of panels: does the device say kW\?$/,
    ],
    [
      'the grid in kW',
      { readings: { 'pv-power': 4_200, 'grid-power': -3.4 }, sunElevationDeg: NOON },
      /^doubtful grid-power: grid-power is −3.4 W, while others are above 1,000 W: does the device say kW\?$/,
    ],
    ['PV in mW', { readings: { 'pv-power': 4_200_000 }, peakW: 8_000 }, /^wrong pv-power: .*does the device say mW\?$/],
    ['a charge from 0 to 1', { readings: { 'battery-charge': 0.71 } }, /^doubtful battery-charge: .*share of 1\?$/],
    [
      'PV at night',
      { readings: { 'pv-power': 900 }, sunElevationDeg: -20 },
      /^wrong pv-power: pv-power is 900 W at night/,
    ],
    [
      'no PV at noon',
      { readings: { 'pv-power': 0 }, sunElevationDeg: NOON },
      /^doubtful pv-power: pv-power is 0 with the sun at 55°/,
    ],
    [
      'more than the panels have',
      { readings: { 'pv-power': 12_000 }, peakW: 8_000 },
      /^wrong pv-power: .*more than the 8,000 W/,
    ],
    ['negative PV', { readings: { 'pv-power': -900 } }, /^wrong pv-power: .*panels give/],
    [
      'more than the battery has',
      { readings: { 'battery-power': 9_000 }, batteryW: 5_000 },
      /^wrong battery-power: .*more than/,
    ],
    [
      'a source that no meter tells of',
      { readings: { 'pv-power': 100, 'grid-power': -4_500 } },
      /^wrong grid-power: .*which cannot give.$/,
    ],
    [
      'a household that does not fit',
      { readings: { 'pv-power': 1_000, 'grid-power': 500, 'load-power': 4_000 } },
      /^doubtful load-power: .*make 1,500 W, and load-power is 4,000 W/,
    ],
  ])('%s', (_, input, what) => {
    expect(shown(sanityFindings(input))).toMatch(what);
  });
});

it('a home by day is right, and with its grid turned it is found out, for all homes that export more than they use', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 1_500 }),
      fc.integer({ min: 3_500, max: 9_000 }),
      fc.integer({ min: 0, max: 60 }),
      (loadW, pvW, noiseW) => {
        const gridW = loadW - pvW + noiseW;
        const input = (grid: number): SanityInput => ({
          readings: { 'pv-power': pvW, 'grid-power': grid },
          sunElevationDeg: NOON,
          peakW: 10_000,
        });
        expect(shown(sanityFindings(input(gridW)))).toBe('');
        expect(sanityFindings(input(-gridW)).map(({ quantity }) => quantity)).toEqual(['grid-power']);
      },
    ),
  );
});
