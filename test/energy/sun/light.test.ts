import { describe, expect, it } from 'vitest';
import {
  ashraeIncidenceFactor,
  clearSkyWeather,
  completeIrradiance,
  erbsDiffuseShare,
  extraterrestrialWPerM2,
  glassIncidenceFactor,
  haurwitzWPerM2,
  ineichenPerez,
  onPlane,
  type Place,
  planeOf,
  pressurePa,
  relativeAirMass,
  type SunPosition,
  skyViewShare,
  sunPosition,
} from '../../../src/energy/sun/index.ts';
import { table } from './reference.ts';

/** Golden values of this file: pvlib, by test/fixtures/make_sun_reference.py. */
const cosDeg = (deg: number): number => Math.cos((deg * Math.PI) / 180);
const sunAt = (apparentZenithDeg: number, azimuthDeg: number): SunPosition => ({
  zenithDeg: apparentZenithDeg,
  apparentZenithDeg,
  azimuthDeg,
  hourAngleDeg: 0,
  distanceAu: 1,
});
const air = { airC: 20, windMPerS: 1 };
const dayMs = (day: number): number => Date.UTC(2014, 0, day, 12);

describe('light without clouds', () => {
  it.each(table<'day'>('extraterrestrial'))(
    'outside of the atmosphere on day $day is $value W/m²',
    ({ day, value }) => {
      expect(extraterrestrialWPerM2(dayMs(day))).toBeCloseTo(value, 4);
    },
  );

  it.each(table<'zenith'>('airMass'))('passes $value atmospheres at $zenith°', ({ zenith, value }) => {
    expect(relativeAirMass(zenith)).toBeCloseTo(value, 5);
  });

  it.each(table<'altitude'>('pressure'))('has $value Pa of air above $altitude m', ({ altitude, value }) => {
    expect(pressurePa(altitude)).toBeCloseTo(value, 4);
  });

  it.each(table<'zenith'>('haurwitz'))('is $value W/m² at $zenith° by Haurwitz', ({ zenith, value }) => {
    expect(haurwitzWPerM2(zenith)).toBeCloseTo(value, 4);
  });

  it.each(table<'zenith' | 'linke' | 'altitude', { ghi: number; dni: number; dhi: number }>('ineichen'))(
    'is $value at $zenith°, turbidity $linke, $altitude m by Ineichen and Perez',
    ({ zenith, linke, altitude, value }) => {
      const clear = ineichenPerez(zenith, altitude, 1364, linke);
      expect(clear.ghiWPerM2).toBeCloseTo(value.ghi, 4);
      expect(clear.dniWPerM2).toBeCloseTo(value.dni, 4);
      expect(clear.dhiWPerM2).toBeCloseTo(value.dhi, 4);
    },
  );
});

describe('light behind clouds', () => {
  it.each(table<'ghi' | 'zenith' | 'day', { dni: number; dhi: number }>('erbs'))(
    '$ghi W/m² at $zenith° are split into $value by Erbs',
    ({ ghi, zenith, day, value }) => {
      const split = completeIrradiance(
        { ghiWPerM2: ghi, ...air },
        sunAt(zenith, 180),
        extraterrestrialWPerM2(dayMs(day)),
      );
      if (zenith > 96) expect(split).toEqual({ ghiWPerM2: 0, dniWPerM2: 0, dhiWPerM2: 0 });
      // pvlib lets direct light pass what the sun sends; ours is bounded by that.
      else if (value.dni < extraterrestrialWPerM2(dayMs(day))) {
        expect(split.dniWPerM2).toBeCloseTo(value.dni, 3);
        expect(split.dhiWPerM2).toBeCloseTo(value.dhi, 3);
      } else expect(split.dniWPerM2).toBeCloseTo(extraterrestrialWPerM2(dayMs(day)), 6);
    },
  );

  it('needs two of three, and finds the third', () => {
    const sun = sunAt(60, 180);
    const all = { ghiWPerM2: 400, dniWPerM2: 600, dhiWPerM2: 100 };
    const { ghiWPerM2, dniWPerM2, dhiWPerM2 } = all;
    for (const two of [
      { ghiWPerM2, dniWPerM2 },
      { ghiWPerM2, dhiWPerM2 },
      { dniWPerM2, dhiWPerM2 },
    ]) {
      const found = completeIrradiance({ ...two, ...air }, sun, 1366);
      expect(found.ghiWPerM2).toBeCloseTo(400, 6);
      expect(found.dniWPerM2).toBeCloseTo(600, 6);
      expect(found.dhiWPerM2).toBeCloseTo(100, 6);
    }
  });

  it('has no direct part while the sun is down, but twilight', () => {
    const weather = { dniWPerM2: 300, dhiWPerM2: 4, ...air };
    expect(completeIrradiance(weather, sunAt(92, 270), 1366)).toEqual({ ghiWPerM2: 4, dniWPerM2: 0, dhiWPerM2: 4 });
    expect(completeIrradiance(weather, sunAt(97, 270), 1366)).toEqual({ ghiWPerM2: 0, dniWPerM2: 0, dhiWPerM2: 0 });
  });

  it('is all diffuse under a heavy sky, and mostly direct under a clear one', () => {
    expect(erbsDiffuseShare(60, 40, 1366)).toBeGreaterThan(0.99);
    expect(erbsDiffuseShare(950, 20, 1366)).toBeLessThan(0.25);
  });
});

describe('a clear sky times a factor', () => {
  const place: Place = { latitudeDeg: 48, longitudeDeg: 7.85, altitudeM: 278 };
  const noon = Date.parse('2026-06-21T11:30Z');
  const at = (factor: number) => clearSkyWeather(place, noon, 20, 1, factor);

  it('is the clear sky at 1, and night at 0', () => {
    const clear = ineichenPerez(sunPosition(place, noon).apparentZenithDeg, 278, extraterrestrialWPerM2(noon));
    expect(at(1).ghiWPerM2).toBeCloseTo(clear.ghiWPerM2, 9);
    expect(at(1).dniWPerM2).toBeCloseTo(clear.dniWPerM2, 9);
    expect(at(0)).toMatchObject({ ghiWPerM2: 0, dniWPerM2: 0, dhiWPerM2: 0 });
  });

  it('has in proportion more diffuse light the darker it is, and always global = direct + diffuse', () => {
    const cosZenith = cosDeg(sunPosition(place, noon).apparentZenithDeg);
    let last = 0;
    for (const factor of [1, 0.9, 0.7, 0.5, 0.3, 0.1]) {
      const { ghiWPerM2, dniWPerM2, dhiWPerM2 } = at(factor);
      expect(dniWPerM2! * cosZenith + dhiWPerM2!).toBeCloseTo(ghiWPerM2!, 6);
      expect(dhiWPerM2! / ghiWPerM2!).toBeGreaterThan(last);
      last = dhiWPerM2! / ghiWPerM2!;
    }
  });

  it('is dark at night', () => {
    expect(clearSkyWeather(place, Date.parse('2026-06-21T23:30Z'), 12, 1, 1)).toMatchObject({ ghiWPerM2: 0 });
  });
});

describe('light on a plane', () => {
  it.each(
    table<'tilt' | 'azimuth' | 'zenith' | 'sunAzimuth', { beam: number; sky: number; ground: number }>('hayDavies'),
  )(
    'tilt $tilt to $azimuth°, sun at $zenith° in $sunAzimuth°: $value',
    ({ tilt, azimuth, zenith, sunAzimuth, value }) => {
      const light = { ghiWPerM2: 650 * cosDeg(zenith) + 140, dniWPerM2: 650, dhiWPerM2: 140 };
      const found = onPlane(planeOf(tilt, azimuth), sunAt(zenith, sunAzimuth), light, 1390);
      expect(found.beamWPerM2).toBeCloseTo(value.beam, 4);
      expect(found.circumsolarWPerM2 + found.skyWPerM2).toBeCloseTo(value.sky, 4);
      expect(found.groundWPerM2).toBeCloseTo(value.ground, 4);
    },
  );

  it.each(table<'aoi'>('physicalIam'))('passes the glass by $value at $aoi°', ({ aoi, value }) => {
    expect(glassIncidenceFactor(cosDeg(aoi))).toBeCloseTo(value, 5);
  });

  it.each(table<'aoi'>('ashraeIam'))('passes by $value at $aoi° as ASHRAE has it', ({ aoi, value }) => {
    expect(ashraeIncidenceFactor(cosDeg(aoi))).toBeCloseTo(value, 5);
  });
});

describe('a horizon', () => {
  const light = { ghiWPerM2: 500, dniWPerM2: 600, dhiWPerM2: 120 };
  /** 20° high from east to south, free elsewhere. */
  const hill = [0, 20, 0, 0];

  it('that is free takes nothing: (1 + cos tilt) / 2', () => {
    for (const tilt of [0, 15, 35, 60, 90]) expect(skyViewShare(tilt, 200, [0])).toBeCloseTo((1 + cosDeg(tilt)) / 2, 4);
  });

  it('all around at 30° leaves a flat plane cos² 30° of the sky', () => {
    expect(skyViewShare(0, 180, [30])).toBeCloseTo(0.75, 6);
  });

  it('counts more before a plane than behind it', () => {
    expect(skyViewShare(60, 180, [0, 30, 30, 0])).toBeLessThan(skyViewShare(60, 0, [0, 30, 30, 0]));
  });

  it('blocks the sun and the bright sky around it, and a part of the rest', () => {
    const open = onPlane(planeOf(30, 180), sunAt(75, 135), light, 1366);
    const shaded = onPlane(planeOf(30, 180, hill), sunAt(75, 135), light, 1366);
    expect([shaded.beamWPerM2, shaded.circumsolarWPerM2]).toEqual([0, 0]);
    expect(shaded.skyWPerM2).toBeGreaterThan(0.8 * open.skyWPerM2);
    expect(shaded.skyWPerM2).toBeLessThan(open.skyWPerM2);
  });

  it('lets the sun through where it is lower or elsewhere', () => {
    const over = onPlane(planeOf(30, 180, hill), sunAt(65, 135), light, 1366);
    const beside = onPlane(planeOf(30, 180, hill), sunAt(75, 200), light, 1366);
    expect(over.beamWPerM2).toBeGreaterThan(0);
    expect(beside.beamWPerM2).toBeGreaterThan(0);
  });
});
