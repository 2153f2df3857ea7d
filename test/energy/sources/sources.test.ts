import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { HOUR_MS, valueAt } from '../../../src/energy/series.ts';
import type { Sources } from '../../../src/energy/sources/index.ts';
import { json, localService, NOW, type Reply } from './local-service.ts';

const service = localService();

const gbAnswer = {
  data: [
    {
      from: '2026-03-10T12:00Z',
      to: '2026-03-10T12:30Z',
      intensity: { forecast: 266, actual: 263, index: 'moderate' },
    },
    {
      from: '2026-03-10T12:30Z',
      to: '2026-03-10T13:00Z',
      intensity: { forecast: 250, actual: null, index: 'moderate' },
    },
    { from: '2026-03-10T13:30Z', to: '2026-03-10T14:00Z', intensity: { forecast: -5, actual: null, index: 'low' } },
  ],
};
const gb = () =>
  service.open({
    intensity: {
      kind: 'gb-carbon-intensity',
      baseUrl: service.baseUrl,
      fallback: [{ kind: 'constant', gPerKWh: 200 }],
    },
  });
const ask = (sources: Sources) => sources.intensity(NOW, NOW + 2 * HOUR_MS);

describe('GB Carbon Intensity', () => {
  it('gives half hours; a gap and an impossible value stay unknown, and are told', async () => {
    service.reply = json(gbAnswer);
    const { averageG, marginalG } = await ask(gb());
    expect([...averageG!.values]).toEqual([263, 250, Number.NaN, Number.NaN]);
    expect(averageG!.origin.method).toContain('1 impossible');
    expect(averageG!.origin.insteadOf).toBeUndefined();
    expect(marginalG).toBeUndefined();
    expect(service.asked).toEqual(['/intensity/2026-03-10T12:00Z/2026-03-10T14:00Z']);
  });

  it('is asked once a quarter of an hour, also after a restart', async () => {
    service.reply = json(gbAnswer);
    await ask(gb());
    await ask(gb());
    expect(service.asked).toHaveLength(1);
    service.nowMs += 16 * 60_000;
    await ask(gb());
    expect(service.asked).toHaveLength(2);
  });

  it('asks again when its answer comes from the future, as the clock was set back', async () => {
    service.reply = json(gbAnswer);
    await ask(gb());
    service.nowMs -= HOUR_MS;
    await ask(gb());
    expect(service.asked).toHaveLength(2);
  });

  const bad: [string, Reply, RegExp][] = [
    ['429', (_, r) => r.writeHead(429, { 'retry-after': '7200' }).end(), /429: asked too often/],
    ['500', (_, r) => r.writeHead(500).end('oh'), /says 500/],
    ['HTML', (_, r) => r.end('<!doctype html><p>Sorry'), /HTML instead of JSON/],
    ['nothing', (_, r) => r.end(), /nothing instead of JSON/],
    ['something cut short', (_, r) => r.end(JSON.stringify(gbAnswer).slice(0, 60)), /cut short/],
    ['another shape', json({ data: [{ from: 'yesterday' }] }), /another shape: data\.0\.from/],
    ['nothing new', json({ data: [{ ...gbAnswer.data[0], from: '2026-03-09T12:00Z' }] }), /stale/],
    ['too late', (_, r) => r.write('{'), /within 1.5 s/],
    ['too much', (_, r) => r.end('1'.repeat(3_000_000)), /more than 2097152 bytes/],
    ['a broken connection', (q) => q.socket.destroy(), /cannot be reached/],
    ['a redirect', (_, r) => r.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /says 302/],
  ];
  it.each(bad)('answers %s: the fallback says that it is one, and why', async (_, how, words) => {
    service.reply = how;
    const { averageG } = await ask(gb());
    expect(valueAt(averageG!, NOW)).toBe(200);
    expect(averageG!.origin.quality).toBe('assumed');
    expect(averageG!.origin.insteadOf).toMatch(words);
    expect(service.said[0]).toMatch(words);
  });

  it('is left in peace for as long as it wants', async () => {
    service.reply = bad[0]![1];
    const sources = gb();
    await ask(sources);
    service.nowMs += HOUR_MS;
    await ask(sources);
    expect(service.asked).toHaveLength(1);
    service.nowMs += 1.1 * HOUR_MS;
    await ask(sources);
    expect(service.asked).toHaveLength(2);
  });

  it('is asked ever more rarely while it fails, and complained about once', async () => {
    service.reply = bad[1]![1];
    const sources = gb();
    for (let minute = 0; minute < 60; minute++, service.nowMs += 60_000) await ask(sources);
    expect(service.asked.length).toBeLessThan(9);
    expect(service.asked.length).toBeGreaterThan(4);
    expect(service.said).toHaveLength(1);
  });

  it('keeps its last answer for six hours, and says how old it is', async () => {
    service.reply = json(gbAnswer);
    const sources = gb();
    await ask(sources);
    service.reply = bad[1]![1];
    service.nowMs += HOUR_MS;
    const { averageG } = await ask(sources);
    expect(valueAt(averageG!, NOW)).toBe(263);
    expect(averageG!.origin.insteadOf).toMatch(/60 min old.*500/);
    service.nowMs += 6 * HOUR_MS;
    expect(valueAt((await ask(sources)).averageG!, NOW)).toBe(200);
  });

  it('overlooks a file of kept answers that was damaged', async () => {
    service.reply = json(gbAnswer);
    writeFileSync(path.join(service.folder, 'gb-carbon-intensity.json'), '{"about":');
    expect(valueAt((await ask(gb())).averageG!, NOW)).toBe(263);
  });
});

describe('Electricity Maps', () => {
  it('takes history and forecast with its token, which is kept nowhere', async () => {
    let token: unknown;
    service.reply = (request, response) => {
      token = request.headers['auth-token'];
      const list = [
        {
          carbonIntensity: request.url!.includes('history') ? 300 : 320,
          datetime: request.url!.includes('history') ? '2026-03-10T12:00:00.000Z' : '2026-03-10T13:00:00.000Z',
        },
      ];
      json(
        request.url!.includes('history')
          ? { zone: 'DE', history: list }
          : { zone: 'DE', forecast: list, updatedAt: 'x' },
      )(request, response);
    };
    const sources = service.open({
      zone: 'DE',
      intensity: {
        kind: 'electricity-maps',
        baseUrl: service.baseUrl,
        token: { env: 'TOKEN' },
        products: ['history', 'forecast'],
      },
    });
    expect([...(await ask(sources)).averageG!.values]).toEqual([300, 320]);
    expect(token).toBe('top-secret');
    expect(service.asked.join()).not.toContain('secret');
    expect(readFileSync(path.join(service.folder, 'electricity-maps.json'), 'utf8')).not.toContain('secret');
  });

  it('without a token, or with a wrong one, says so and gives nothing', async () => {
    service.reply = (_, r) => r.writeHead(401).end();
    const refused = service.open({
      intensity: { kind: 'electricity-maps', baseUrl: service.baseUrl, token: { env: 'TOKEN' } },
    });
    expect(await ask(refused)).toEqual({});
    expect(service.said.join()).toMatch(/refused \(401\).*Check the token/);
    const none = service.open({
      intensity: { kind: 'electricity-maps', baseUrl: service.baseUrl, token: { env: 'NOT_SET' } },
    });
    expect(await ask(none)).toEqual({});
    expect(service.said.join()).toContain('the variable NOT_SET');
    expect(service.said.join()).not.toContain('secret');
  });
});

describe('WattTime', () => {
  it('logs in, turns pounds a MWh into grams a kWh, and logs in again when its token has expired', async () => {
    let logins = 0;
    service.reply = (request, response) => {
      if (request.url === '/login') {
        expect(request.headers.authorization).toBe(`Basic ${Buffer.from('me:top-secret').toString('base64')}`);
        return json({ token: `t${++logins}` })(request, response);
      }
      if (request.headers.authorization !== `Bearer t${logins}` || (service.nowMs > NOW && logins === 1))
        return response.writeHead(401).end();
      const data = [{ point_time: '2026-03-10T12:00:00+00:00', value: 1000 }];
      json({ data, meta: { units: 'lbs_co2_per_mwh', data_point_period_seconds: 300 } })(request, response);
    };
    const sources = service.open({
      intensity: {
        kind: 'watttime',
        baseUrl: service.baseUrl,
        user: 'me',
        token: { env: 'TOKEN' },
        zone: 'CAISO_NORTH',
      },
    });
    const { averageG, marginalG } = await ask(sources);
    expect(averageG).toBeUndefined();
    expect(marginalG!.values[0]).toBeCloseTo(453.59237, 6);
    service.nowMs += 16 * 60_000;
    expect((await ask(sources)).marginalG!.origin.insteadOf).toBeUndefined();
    expect(logins).toBe(2);
  });
});

describe('Open-Meteo', () => {
  const hour = (end: string) => Date.parse(end) / 1000;
  it('takes the hour that ends at its time, clamps negative irradiance and says so; a gap is no weather', async () => {
    service.reply = json({
      hourly: {
        time: [hour('2026-03-10T13:00Z'), hour('2026-03-10T14:00Z'), hour('2026-03-10T15:00Z')],
        shortwave_radiation: [400, -3, null],
        direct_normal_irradiance: [500, 0, 0],
        diffuse_radiation: [100, 0, 0],
        temperature_2m: [9, 8, 7],
        wind_speed_10m: [3, 3, 3],
      },
    });
    const { at, origin } = await service
      .open({ weather: { kind: 'open-meteo', baseUrl: service.baseUrl } })
      .weather(NOW, NOW + 3 * HOUR_MS);
    expect(at(NOW + 60_000)).toEqual({ ghiWPerM2: 400, dniWPerM2: 500, dhiWPerM2: 100, airC: 9, windMPerS: 3 });
    expect(at(NOW + HOUR_MS)!.ghiWPerM2).toBe(0);
    expect(at(NOW + 2 * HOUR_MS)).toBeUndefined();
    expect(origin.method).toContain('1 negative irradiances taken as 0');
  });

  it('stands back for a clear sky with clouds, which says that it stands in', async () => {
    service.reply = (_, r) => r.writeHead(503).end();
    const { at, origin } = await service
      .open({ weather: { kind: 'open-meteo', baseUrl: service.baseUrl } })
      .weather(NOW, NOW + HOUR_MS);
    expect(at(NOW)!.ghiWPerM2).toBeGreaterThan(100);
    expect(origin).toMatchObject({ quality: 'assumed', method: expect.stringContaining('clear sky × 0.7') });
    expect(origin.insteadOf).toContain('503');
  });
});

describe('a file', () => {
  it('has its unit turned into g/kWh, through the day of 25 hours, and its gaps stay', async () => {
    const file = path.join(service.folder, 'ci.csv');
    const rows = ['2026-10-25T02:00+02:00,0.3', '2026-10-25T02:00+01:00,0.4', '2026-10-25T03:00+01:00,'];
    writeFileSync(file, ['when,kg', ...rows].join('\n'));
    const sources = service.open({
      intensity: { kind: 'file', path: file, time: 'when', value: 'kg', unit: 'kg/kWh' },
    });
    const from = Date.parse('2026-10-25T00:00Z');
    expect([...(await sources.intensity(from, from + 3 * HOUR_MS)).averageG!.values]).toEqual([300, 400, Number.NaN]);
  });

  it.each([
    ['a time without an offset', 'time,value\n2026-10-25T02:00,1', /row 1: "2026-10-25T02:00" is no time/],
    ['a word for a number', 'time,value\n2026-10-25T02:00Z,much', /row 1: "much" is no number/],
    ['no such column', 'zeit,value\n', /no column time; it has zeit, value/],
  ])('with %s is refused', (_, text, words) => {
    const file = path.join(service.folder, 'ci.csv');
    writeFileSync(file, text);
    expect(() => service.open({ intensity: { kind: 'file', path: file, unit: 'g/kWh' } })).toThrow(words);
  });

  it('of prices may be JSON, for a MWh, and below zero', async () => {
    const file = path.join(service.folder, 'price.json');
    writeFileSync(file, JSON.stringify([{ time: '2026-03-10T12:00Z', value: -50 }]));
    const found = await service.open({ tariff: { kind: 'file', path: file, unit: 'MWh' } }).tariff(NOW, NOW + HOUR_MS);
    expect([...found!.perKWh.values]).toEqual([-0.05]);
  });
});

it('synthetic sources need no network, and say that nobody measured them', async () => {
  const sources = service.open({
    intensity: { kind: 'synthetic' },
    weather: { kind: 'synthetic' },
    tariff: { kind: 'synthetic' },
  });
  const { averageG, marginalG } = await ask(sources);
  expect(averageG!.origin.quality).toBe('modelled');
  expect(marginalG!.origin.quality).toBe('assumed');
  expect((await sources.weather(NOW, NOW + HOUR_MS)).at(NOW)).toBeDefined();
  expect((await sources.tariff(NOW, NOW + HOUR_MS))!.perKWh.values[0]).toBeGreaterThan(0);
  expect(() => service.open({ zone: 'ATLANTIS', intensity: { kind: 'synthetic' } })).toThrow(
    /no synthetic zone ATLANTIS/,
  );
});
