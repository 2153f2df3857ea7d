import { describe, expect, it } from 'vitest';
import { type Place, sunPosition, sunTimes } from '../../../src/energy/sun/index.ts';
import { angleBetweenDeg, reference } from './reference.ts';

/** Of the example in Reda and Andreas (2004, revised 2008), Solar Position Algorithm, NREL/TP-560-34302. */
const GOLDEN: Place = { latitudeDeg: 39.742476, longitudeDeg: -105.1786, altitudeM: 1830.14 };

describe('the place of the sun', () => {
  it("is that of the SPA paper's example", () => {
    const sun = sunPosition(GOLDEN, Date.parse('2003-10-17T12:30:30-07:00'), { pressurePa: 82_000, airC: 11 });
    expect(Math.abs(sun.apparentZenithDeg - 50.11162)).toBeLessThan(0.01);
    expect(Math.abs(sun.azimuthDeg - 194.34024)).toBeLessThan(0.01);
    expect(sun.distanceAu).toBeCloseTo(0.996542, 4);
  });

  it.each(reference.positions)("is that of NREL's SPA and of ERFA: $name $at", (golden) => {
    const sun = sunPosition(golden, Date.parse(golden.at));
    const { zenithDeg, azimuthDeg } = sun;
    expect(angleBetweenDeg(zenithDeg, azimuthDeg, golden.zenithDeg, golden.azimuthDeg)).toBeLessThan(0.01);
    expect(angleBetweenDeg(zenithDeg, azimuthDeg, golden.erfaZenithDeg, golden.erfaAzimuthDeg)).toBeLessThan(0.01);
    expect(Math.abs(sun.apparentZenithDeg - golden.apparentZenithDeg)).toBeLessThan(0.01);
  });

  it('is the same for a longitude of 180° east and west', () => {
    const at = Date.parse('2026-03-01T00:00:00Z');
    const east = sunPosition({ latitudeDeg: 10, longitudeDeg: 180, altitudeM: 0 }, at);
    const west = sunPosition({ latitudeDeg: 10, longitudeDeg: -180, altitudeM: 0 }, at);
    expect(east.zenithDeg).toBeCloseTo(west.zenithDeg, 9);
    expect(east.azimuthDeg).toBeCloseTo(west.azimuthDeg, 9);
  });
});

describe('sunrise and sunset', () => {
  // NREL's SPA calculator on the web, as pvlib's tests quote it (tests/test_solarposition.py).
  const south: Place = { latitudeDeg: -35, longitudeDeg: 0, altitudeM: 0 };
  it.each([
    [GOLDEN, '2015-01-02T07:21:55-07:00', '2015-01-02T12:04:45-07:00', '2015-01-02T16:47:43-07:00'],
    [south, '1996-07-05T07:08:15Z', '1996-07-05T12:04:36Z', '1996-07-05T17:01:04Z'],
    [south, '2004-12-04T04:38:57Z', '2004-12-04T11:50:22Z', '2004-12-04T19:02:03Z'],
  ])("are those of NREL's calculator: %j %s", (place, rise, noon, set) => {
    const times = sunTimes(place, Date.parse(noon) + 5 * 3_600_000);
    expect(Math.abs(times.riseMs! - Date.parse(rise))).toBeLessThan(5000);
    expect(Math.abs(times.noonMs - Date.parse(noon))).toBeLessThan(5000);
    expect(Math.abs(times.setMs! - Date.parse(set))).toBeLessThan(5000);
  });

  // The almanac of the US Naval Observatory, quoted there too. (NREL's sunset of 2 August is a minute later: that of the day before.)
  it.each([
    ['2015-01-01T07:22', '2015-01-01T12:04', '2015-01-01T16:47'],
    ['2015-01-02T07:22', '2015-01-02T12:05', '2015-01-02T16:48'],
    ['2015-01-03T07:22', '2015-01-03T12:05', '2015-01-03T16:49'],
    ['2015-08-02T05:00', '2015-08-02T12:07', '2015-08-02T19:13'],
  ])('are those of the almanac to its minute: Golden %s', (rise, noon, set) => {
    const at = (minute: string): number => Date.parse(`${minute}:00-07:00`);
    const times = sunTimes(GOLDEN, at(noon));
    expect(Math.abs(times.riseMs! - at(rise))).toBeLessThan(35_000);
    expect(Math.abs(times.noonMs - at(noon))).toBeLessThan(35_000);
    expect(Math.abs(times.setMs! - at(set))).toBeLessThan(35_000);
  });

  it.each(reference.times)("are those of NREL's SPA: $name $noon", (golden) => {
    const times = sunTimes(golden, Date.parse(golden.noon));
    const error = (ours: number | null, theirs: string | null): number =>
      ours === null || theirs === null
        ? ours === theirs
          ? 0
          : Number.POSITIVE_INFINITY
        : Math.abs(ours - Date.parse(theirs));
    expect(error(times.riseMs, golden.rise)).toBeLessThan(6000);
    expect(error(times.noonMs, golden.noon)).toBeLessThan(6000);
    expect(error(times.setMs, golden.set)).toBeLessThan(6000);
  });

  it('are not there in polar day and night, and that is said', () => {
    const tromsoe: Place = { latitudeDeg: 69.65, longitudeDeg: 18.96, altitudeM: 10 };
    const june = sunTimes(tromsoe, Date.parse('2026-06-21T12:00Z'));
    const december = sunTimes(tromsoe, Date.parse('2026-12-21T12:00Z'));
    expect([june.riseMs, june.setMs, june.always]).toEqual([null, null, 'up']);
    expect([december.riseMs, december.setMs, december.always]).toEqual([null, null, 'down']);
  });

  it('may be one without the other, where a polar day begins or ends', () => {
    const tromsoe: Place = { latitudeDeg: 69.65, longitudeDeg: 18.96, altitudeM: 10 };
    const begins = sunTimes(tromsoe, Date.parse('2026-05-18T11:00Z'));
    const ends = sunTimes(tromsoe, Date.parse('2026-07-25T11:00Z'));
    expect(begins).toMatchObject({ riseMs: expect.any(Number), setMs: null, always: null });
    expect(ends).toMatchObject({ riseMs: null, setMs: expect.any(Number), always: null });
  });

  it('lie around the noon that is nearest', () => {
    const times = sunTimes(GOLDEN, Date.parse('2026-05-05T23:00:00-07:00'));
    expect(times.noonMs).toBeGreaterThan(Date.parse('2026-05-05T12:00:00-07:00') - 3_600_000);
    expect(times.noonMs).toBeLessThan(Date.parse('2026-05-05T12:00:00-07:00') + 3_600_000);
    expect(times.riseMs!).toBeLessThan(times.noonMs);
    expect(times.setMs!).toBeGreaterThan(times.noonMs);
  });
});
