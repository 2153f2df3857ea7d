import { describe, expect, it } from 'vitest';
import { parseSite } from '../../../src/energy/site/site-file.ts';

const HOME = `name: attic
location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }
solar:
  arrays:
    - { peakW: 8000, tiltDeg: 35, azimuthDeg: 180 }
battery: { capacityWh: 10000, chargeW: 5000, dischargeW: 5000 }
policy: { mode: sun-and-battery }
`;
const errorOf = (source: string): string => {
  try {
    parseSite(source, 'site.yaml');
    return 'no error';
  } catch (error) {
    return (error as Error).message;
  }
};

it('needs a place and panels, and no more', () => {
  const site = parseSite(
    'location: { latitudeDeg: 48, longitudeDeg: 8 }\nsolar: { arrays: [{ peakW: 5000, tiltDeg: 30, azimuthDeg: 180 }] }',
    'site.yaml',
  );
  expect(site.policy).toMatchObject({ mode: 'sun', startDelayS: 60, importToleranceWh: 15 });
  expect(site).toMatchObject({ name: 'home', machine: { trainW: 200 }, grid: { intensity: { gPerKWh: 475 } } });
});

describe('says where it is wrong, and what to do', () => {
  it.each([
    ['an unknown key', HOME.replace('tiltDeg', 'tilt'), /site\.yaml:5:22: unknown key solar\.arrays\.0\.tilt/],
    ['a place that is none', HOME.replace('48', '148'), /site\.yaml:2:13: location\.latitudeDeg is 148: too big/],
    ['a time zone that is none', HOME.replace('Europe/Berlin', 'Europe/Freiburg'), /timeZone.*IANA time zone/],
    ['no YAML', `${HOME}  x: [`, /site\.yaml:\d+:\d+/],
    [
      'a secret in two places',
      `${HOME}gridOperator: { kind: openadr-3, baseUrl: "https://vtn.example", program: p, clientId: { text: a }, clientSecret: { env: A, file: b } }`,
      /gridOperator\.clientSecret.*give one of env, file, text/s,
    ],
    [
      'a password in an address',
      `${HOME}gridOperator: { kind: openadr-3, baseUrl: "https://me:pw@vtn.example", program: p, clientId: { text: a }, clientSecret: { env: A } }`,
      /gridOperator\.baseUrl.*no user, password/s,
    ],
    [
      'an operator that is asked too rarely',
      `${HOME}gridOperator: { kind: openadr-3, baseUrl: "https://vtn.example", program: p, clientId: { text: a }, clientSecret: { env: A }, pollS: 60 }`,
      /gridOperator\.pollS is 60: too big/,
    ],
    [
      'an address of evcc with a scheme',
      `${HOME}evcc: { host: "http://evcc.local" }`,
      /evcc\.host.*without http:\/\//s,
    ],
    ['kW of panels', HOME.replace('8000', '8'), /peakW is 8.*If you meant 8 kW, write 8000/s],
    ['kW of export', HOME.replace('solar:', 'solar:\n  exportLimitW: 5'), /exportLimitW is 5 W.*5000 for 5 kW/s],
    ['kWh of battery', HOME.replace('10000', '10'), /capacityWh is 10.*If you meant 10 kWh, write 10000/s],
    ['a battery that is not there', HOME.replace(/^battery.*$/m, ''), /no battery/],
    ['sun without panels', 'location: { latitudeDeg: 1, longitudeDeg: 1 }', /no solar panels/],
    [
      'levels that cross',
      HOME.replace('mode: sun-and-battery', 'mode: sun-and-battery, batteryStartPercent: 20'),
      /batteryStopPercent is 30/,
    ],
    [
      'a cap below what trains',
      `${HOME.replace('mode: sun-and-battery', 'mode: sun, powerCapW: 50')}`,
      /powerCapW is 50.*120 W/s,
    ],
    ['a price without a tariff', HOME.replace('mode: sun-and-battery', 'mode: sun, maxPricePerKWh: 0.1'), /no tariff/],
    [
      'quiet hours of another clock',
      HOME.replace('mode: sun-and-battery', 'mode: sun, quietHours: [{ from: "25:00", to: "06:00" }]'),
      /a time like 07:30/,
    ],
    [
      'a machine that draws less when it trains',
      `${HOME}machine: { idleW: 90, trainW: 60 }`,
      /draws no more when it trains/,
    ],
  ])('%s', (_, source, message) => {
    expect(errorOf(source)).toMatch(message);
  });
});
