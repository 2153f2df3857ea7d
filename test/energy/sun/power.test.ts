import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CELL_MODELS,
  cellTemperatureC,
  clearSkyWeather,
  combinedLossPercent,
  DEFAULT_LOSS_PERCENT,
  dcPowerW,
  exportWithin,
  FAIMAN,
  HelioError,
  inverterPower,
  LOSSES_PERCENT,
  MODULES,
  MOUNTINGS,
  type Place,
  pvPower,
  type SolarSystem,
  sunPosition,
  sunTimes,
  type Weather,
} from '../../../src/energy/sun/index.ts';
import { table } from './reference.ts';

const freiburg: Place = { latitudeDeg: 48, longitudeDeg: 7.85, altitudeM: 278 };
const south: SolarSystem = {
  arrays: [{ peakW: 8000, tiltDeg: 35, azimuthDeg: 180, mounting: 'roof' }],
  inverterW: 7000,
};
const noon = Date.parse('2026-06-21T11:30Z');
const fair: Weather = { ghiWPerM2: 850, airC: 22, windMPerS: 2 };

/** Golden values of the first part: pvlib, by test/fixtures/make_sun_reference.py. */
describe('cells, panels, inverter', () => {
  it.each(table<'poa' | 'air' | 'wind'>('sapmRack'))('a rack at $poa W/m², $air °C, $wind m/s has $value °C', (row) => {
    expect(cellTemperatureC(CELL_MODELS.rack, row.poa, row.air, row.wind)).toBeCloseTo(row.value, 5);
  });

  it.each(table<'poa' | 'air' | 'wind'>('sapmRoof'))('a roof at $poa W/m², $air °C, $wind m/s has $value °C', (row) => {
    expect(cellTemperatureC(CELL_MODELS.roof, row.poa, row.air, row.wind)).toBeCloseTo(row.value, 5);
  });

  it.each(table<'poa' | 'air' | 'wind'>('faiman'))('by Faiman $poa W/m², $air °C, $wind m/s are $value °C', (row) => {
    expect(cellTemperatureC(FAIMAN, row.poa, row.air, row.wind)).toBeCloseTo(row.value, 5);
  });

  it('ballast on a flat roof is between rack and tiles', () => {
    const [rack, ballast, tiles] = (['rack', 'flat-roof', 'roof'] as const).map((mounting) =>
      cellTemperatureC(CELL_MODELS[mounting], 800, 20, 1),
    );
    expect(ballast).toBeGreaterThan(rack!);
    expect(ballast).toBeLessThan(tiles!);
  });

  it.each(table<'poa' | 'cell'>('pvwattsDc'))(
    '4 kW give $value W at $poa W/m² and $cell °C',
    ({ poa, cell, value }) => {
      expect(dcPowerW(4000, poa, cell, -0.0047)).toBeCloseTo(value, 4);
    },
  );

  it.each(table<'dc'>('inverter'))('an inverter of 3333 W makes $value W of $dc W', ({ dc, value }) => {
    expect(inverterPower(dc, 4000 / 1.2).acW).toBeCloseTo(value, 4);
  });

  it("losses are PVWatts' 14.08 %", () => {
    expect(combinedLossPercent(Object.values(LOSSES_PERCENT))).toBeCloseTo(DEFAULT_LOSS_PERCENT, 2);
  });

  it('no panel gives less than nothing, however hot', () => {
    expect(dcPowerW(4000, 1000, 300, -0.0047)).toBe(0);
  });

  it('what the inverter throws away is a figure', () => {
    const { acW, clippedW } = inverterPower(5000, 4000 / 1.2);
    expect(acW).toBeCloseTo(3333.333, 3);
    expect(clippedW).toBeCloseTo(0.96 * 5000 - 3333.333, 3);
    expect(inverterPower(3000, 4000 / 1.2).clippedW).toBe(0);
  });

  it('what an export limit throws away is a figure', () => {
    expect(exportWithin(6000, 1500, 3000)).toEqual({ exportW: 3000, curtailedW: 1500 });
    expect(exportWithin(6000, 1500, undefined)).toEqual({ exportW: 4500, curtailedW: 0 });
    expect(exportWithin(1000, 1500, 0)).toEqual({ exportW: 0, curtailedW: 0 });
  });
});

describe('a solar system', () => {
  it('is the sum of its arrays before the inverter', () => {
    const east = { peakW: 4000, tiltDeg: 30, azimuthDeg: 90, mounting: 'roof' } as const;
    const west = { ...east, azimuthDeg: 270 };
    const of = (...arrays: SolarSystem['arrays']) => pvPower(freiburg, { arrays, inverterW: 9000 }, noon, fair);
    expect(of(east, west).dcW).toBeCloseTo(of(east).dcW + of(west).dcW, 9);
    expect(of(east, west).poaWPerM2).toEqual([...of(east).poaWPerM2, ...of(west).poaWPerM2]);
  });

  it('loses the share that it says, 14.08 % when it says nothing', () => {
    const dcW = (lossPercent?: number): number =>
      pvPower(freiburg, lossPercent === undefined ? south : { ...south, lossPercent }, noon, fair).dcW;
    expect(dcW(25) / dcW(0)).toBeCloseTo(0.75, 9);
    expect(dcW() / dcW(0)).toBeCloseTo(0.8592, 9);
  });

  it('loses less to heat with better modules', () => {
    const [standard, premium, thin] = MODULES.map(
      (module) => pvPower(freiburg, { ...south, arrays: [{ ...south.arrays[0]!, module }] }, noon, fair).dcW,
    );
    expect(premium).toBeGreaterThan(standard!);
    expect(thin).toBeGreaterThan(premium!);
  });

  it('that looks east has its morning, and west its afternoon', () => {
    const of = (azimuthDeg: number, at: string): number =>
      pvPower(freiburg, { ...south, arrays: [{ ...south.arrays[0]!, azimuthDeg }] }, Date.parse(at), {
        dniWPerM2: 700,
        dhiWPerM2: 80,
        airC: 15,
        windMPerS: 1,
      }).acW;
    expect(of(90, '2026-06-21T07:00Z')).toBeGreaterThan(2 * of(270, '2026-06-21T07:00Z'));
    expect(of(270, '2026-06-21T16:00Z')).toBeGreaterThan(2 * of(90, '2026-06-21T16:00Z'));
  });

  it('gives less behind a hill, less when it is hot, less without wind', () => {
    const power = (system: SolarSystem, weather = fair): number => pvPower(freiburg, system, noon, weather).dcW;
    const walled = { ...south, arrays: [{ ...south.arrays[0]!, horizonDeg: [70, 70, 70, 70] }] };
    expect(power(walled)).toBeLessThan(0.3 * power(south));
    expect(power(walled)).toBeGreaterThan(0);
    expect(power(south, { ...fair, airC: 35 })).toBeLessThan(power(south));
    expect(power(south, { ...fair, windMPerS: 0 })).toBeLessThan(power(south));
  });
});

const place = fc.record({
  latitudeDeg: fc.double({ min: -90, max: 90, noNaN: true }),
  longitudeDeg: fc.double({ min: -180, max: 180, noNaN: true }),
  altitudeM: fc.double({ min: 0, max: 4000, noNaN: true }),
});
const array = fc.record(
  {
    peakW: fc.double({ min: 50, max: 50_000, noNaN: true }),
    tiltDeg: fc.double({ min: 0, max: 90, noNaN: true }),
    azimuthDeg: fc.double({ min: 0, max: 360, noNaN: true }),
    mounting: fc.constantFrom(...MOUNTINGS),
    module: fc.constantFrom(...MODULES),
    horizonDeg: fc.array(fc.double({ min: 0, max: 90, noNaN: true }), { minLength: 1, maxLength: 36 }),
  },
  { requiredKeys: ['peakW', 'tiltDeg', 'azimuthDeg', 'mounting'] },
);
const system = fc.record({
  arrays: fc.array(array, { minLength: 1, maxLength: 3 }),
  inverterW: fc.double({ min: 50, max: 100_000, noNaN: true }),
  lossPercent: fc.double({ min: 0, max: 99, noNaN: true }),
});
const moment = fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2060, 0) });
const irradiance = fc.double({ min: 0, max: 1400, noNaN: true });
const climate = {
  airC: fc.double({ min: -40, max: 50, noNaN: true }),
  windMPerS: fc.double({ min: 0, max: 40, noNaN: true }),
};
const weather: fc.Arbitrary<Weather> = fc.oneof(
  fc.record({ ghiWPerM2: irradiance, ...climate }),
  fc.record({ dniWPerM2: irradiance, dhiWPerM2: irradiance, ...climate }),
  fc.record({ ghiWPerM2: irradiance, dhiWPerM2: irradiance, ...climate }),
  fc.record({ ghiWPerM2: irradiance, dniWPerM2: irradiance, ...climate }),
  fc.record({ ghiWPerM2: irradiance, dniWPerM2: irradiance, dhiWPerM2: irradiance, ...climate }),
);

describe('for every place, system, moment and weather', () => {
  it('power is a number, never negative, never above the inverter, never more than DC', () => {
    fc.assert(
      fc.property(place, system, moment, weather, (place, system, atMs, weather) => {
        const { dcW, acW, clippedW, poaWPerM2 } = pvPower(place, system, atMs, weather);
        for (const each of [dcW, acW, clippedW, ...poaWPerM2]) {
          expect(Number.isFinite(each)).toBe(true);
          expect(each).toBeGreaterThanOrEqual(0);
        }
        expect(acW).toBeLessThanOrEqual(system.inverterW);
        expect(acW + clippedW).toBeLessThanOrEqual(dcW);
        expect(poaWPerM2).toHaveLength(system.arrays.length);
      }),
      { numRuns: 500 },
    );
  });

  it('night is 0', () => {
    fc.assert(
      fc.property(place, system, moment, weather, (place, system, atMs, weather) => {
        fc.pre(sunPosition(place, atMs).apparentZenithDeg > 96);
        expect(pvPower(place, system, atMs, weather)).toMatchObject({ dcW: 0, acW: 0, clippedW: 0 });
      }),
      { numRuns: 200 },
    );
  });

  it('a panel that lies flat has the global irradiance', () => {
    fc.assert(
      fc.property(place, moment, irradiance, (place, atMs, ghiWPerM2) => {
        fc.pre(sunPosition(place, atMs).apparentZenithDeg < 89);
        const flat: SolarSystem = {
          arrays: [{ peakW: 5000, tiltDeg: 0, azimuthDeg: 180, mounting: 'flat-roof' }],
          inverterW: 5000,
        };
        const { poaWPerM2 } = pvPower(place, flat, atMs, { ghiWPerM2, airC: 15, windMPerS: 1 });
        expect(Math.abs(poaWPerM2[0]! - ghiWPerM2)).toBeLessThan(1e-6);
      }),
      { numRuns: 300 },
    );
  });

  it('more panels give no less, and a wall gives no more', () => {
    fc.assert(
      fc.property(place, array, moment, weather, (place, array, atMs, weather) => {
        const power = (each: typeof array) => pvPower(place, { arrays: [each], inverterW: 5000 }, atMs, weather);
        const { horizonDeg: _, ...open } = array;
        expect(power({ ...array, peakW: array.peakW * 2 }).acW).toBeGreaterThanOrEqual(power(array).acW);
        expect(power(array).poaWPerM2[0]!).toBeLessThanOrEqual(power(open).poaWPerM2[0]! + 0.02);
      }),
      { numRuns: 300 },
    );
  });

  it('the sun is up between its rise and its set', () => {
    fc.assert(
      fc.property(place, moment, (place, atMs) => {
        const { riseMs, noonMs, setMs } = sunTimes(place, atMs);
        fc.pre(riseMs !== null && setMs !== null && setMs! - riseMs! > 120_000);
        expect(sunPosition(place, (riseMs! + noonMs) / 2).apparentZenithDeg).toBeLessThan(90.84);
        expect(sunPosition(place, riseMs! - 60_000).zenithDeg).toBeGreaterThan(90.833);
        expect(sunPosition(place, setMs! + 60_000).zenithDeg).toBeGreaterThan(90.833);
      }),
      { numRuns: 200 },
    );
  });
});

describe('what cannot be is refused, with what, which value, and what to do', () => {
  const array = south.arrays[0]!;
  const withArray = (change: object): SolarSystem => ({ ...south, arrays: [{ ...array, ...change }] });
  it.each<[string, () => unknown, string, RegExp]>([
    [
      'latitude 95',
      () => pvPower({ ...freiburg, latitudeDeg: 95 }, south, noon, fair),
      'HELIO-1008',
      /latitudeDeg is 95.*-90 to 90.*north/,
    ],
    [
      'no longitude',
      () => pvPower({ latitudeDeg: 1, altitudeM: 1 } as Place, south, noon, fair),
      'HELIO-1008',
      /longitudeDeg is undefined/,
    ],
    [
      'negative peak',
      () => pvPower(freiburg, withArray({ peakW: -5000 }), noon, fair),
      'HELIO-1008',
      /arrays\[0\]\.peakW is -5000.*data sheet/,
    ],
    [
      '8 kW as 8',
      () => pvPower(freiburg, withArray({ peakW: 8 }), noon, fair),
      'HELIO-1008',
      /arrays\[0\]\.peakW is 8 W.*kW was probably meant.*8000/,
    ],
    [
      'inverter in kW',
      () => pvPower(freiburg, { ...south, inverterW: 7 }, noon, fair),
      'HELIO-1008',
      /inverterW is 7 W.*7000/,
    ],
    [
      'export limit in kW',
      () => pvPower(freiburg, { ...south, exportLimitW: 4.2 }, noon, fair),
      'HELIO-1008',
      /exportLimitW is 4.2 W.*4200/,
    ],
    [
      'azimuth from south',
      () => pvPower(freiburg, withArray({ azimuthDeg: -90 }), noon, fair),
      'HELIO-1008',
      /azimuthDeg is -90.*clockwise from north/,
    ],
    ['tilt 120', () => pvPower(freiburg, withArray({ tiltDeg: 120 }), noon, fair), 'HELIO-1008', /tiltDeg is 120/],
    [
      'mounting',
      () => pvPower(freiburg, withArray({ mounting: 'wall' }), noon, fair),
      'HELIO-1008',
      /mounting is "wall".*rack, roof, flat-roof/,
    ],
    [
      'module',
      () => pvPower(freiburg, withArray({ module: 'toString' }), noon, fair),
      'HELIO-1008',
      /module is "toString"/,
    ],
    [
      'horizon',
      () => pvPower(freiburg, withArray({ horizonDeg: [0, 95] }), noon, fair),
      'HELIO-1008',
      /horizonDeg\[1\] is 95/,
    ],
    [
      'empty horizon',
      () => pvPower(freiburg, withArray({ horizonDeg: [] }), noon, fair),
      'HELIO-1008',
      /has 0 sectors/,
    ],
    ['no arrays', () => pvPower(freiburg, { ...south, arrays: [] }, noon, fair), 'HELIO-1008', /has 0 arrays/],
    [
      'losses',
      () => pvPower(freiburg, { ...south, lossPercent: 140.8 }, noon, fair),
      'HELIO-1008',
      /lossPercent is 140.8/,
    ],
    ['time in seconds', () => pvPower(freiburg, south, noon / 1000, fair), 'HELIO-1008', /milliseconds/],
    ['no time', () => sunTimes(freiburg, Number.NaN), 'HELIO-1008', /The time is NaN/],
    [
      'negative light',
      () => pvPower(freiburg, south, noon, { ...fair, ghiWPerM2: -3 }),
      'HELIO-1009',
      /ghiWPerM2 is -3.*offset/,
    ],
    [
      'light that is NaN',
      () => pvPower(freiburg, south, noon, { ...fair, ghiWPerM2: Number.NaN }),
      'HELIO-1009',
      /ghiWPerM2 is NaN/,
    ],
    [
      'light in J',
      () => pvPower(freiburg, south, noon, { ...fair, ghiWPerM2: 3_000_000 }),
      'HELIO-1009',
      /ghiWPerM2 is 3000000/,
    ],
    ['no light', () => pvPower(freiburg, south, noon, { airC: 5, windMPerS: 1 }), 'HELIO-1009', /no irradiance at all/],
    [
      'only diffuse',
      () => pvPower(freiburg, south, noon, { dhiWPerM2: 5, airC: 5, windMPerS: 1 }),
      'HELIO-1009',
      /only dhiWPerM2/,
    ],
    [
      'negative direct light',
      () => pvPower(freiburg, south, noon, { ...fair, dniWPerM2: -1 }),
      'HELIO-1009',
      /dniWPerM2 is -1/,
    ],
    [
      'diffuse light that is NaN',
      () => pvPower(freiburg, south, noon, { ...fair, dhiWPerM2: Number.NaN }),
      'HELIO-1009',
      /dhiWPerM2 is NaN/,
    ],
    [
      'altitude in feet',
      () => pvPower({ ...freiburg, altitudeM: 29_000 }, south, noon, fair),
      'HELIO-1008',
      /altitudeM is 29000/,
    ],
    [
      'cloud factor in per cent',
      () => clearSkyWeather(freiburg, noon, 20, 1, 70),
      'HELIO-1009',
      /cloudFactor is 70.*0.7/,
    ],
    ['clear sky without air', () => clearSkyWeather(freiburg, noon, Number.NaN, 1, 1), 'HELIO-1009', /airC is NaN/],
    ['kelvin', () => pvPower(freiburg, south, noon, { ...fair, airC: 293 }), 'HELIO-1009', /airC is 293.*Celsius/],
    ['wind', () => pvPower(freiburg, south, noon, { ...fair, windMPerS: -1 }), 'HELIO-1009', /windMPerS is -1/],
  ])('%s', (_, act, code, says) => {
    let error: unknown;
    try {
      act();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(HelioError);
    expect((error as HelioError).code).toBe(code);
    expect((error as HelioError).message).toMatch(says);
    expect((error as HelioError).what.length).toBeGreaterThan(10);
    expect((error as HelioError).remedy.length).toBeGreaterThan(10);
  });
});
