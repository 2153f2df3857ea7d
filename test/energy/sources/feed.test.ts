import { describe, expect, it } from 'vitest';
import { HOUR_MS, valueAt } from '../../../src/energy/series.ts';
import { json, localService, NOW } from './local-service.ts';

const service = localService();
const half = HOUR_MS / 2;
const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`;

/** Answers for the hours that are asked for, with the hour of the day as intensity, after a while. */
const answering = (delayMs = 0): void => {
  service.reply = (request, response) => {
    const [, , from, to] = request.url!.split('/');
    const data: unknown[] = [];
    for (let ms = Date.parse(from!); ms < Date.parse(to!); ms += half)
      data.push({ from: iso(ms), intensity: { forecast: new Date(ms).getUTCHours() } });
    setTimeout(() => json({ data })(request, response), delayMs);
  };
};
const gb = () => service.open({ intensity: { kind: 'gb-carbon-intensity', baseUrl: service.baseUrl } });

describe('two who ask', () => {
  it('at once for other hours each get theirs', async () => {
    answering(50);
    const sources = gb();
    const [now, later] = await Promise.all([
      sources.intensity(NOW, NOW + HOUR_MS),
      sources.intensity(NOW + 3 * HOUR_MS, NOW + 4 * HOUR_MS),
    ]);
    expect(valueAt(now.averageG!, NOW)).toBe(12);
    expect(valueAt(later.averageG!, NOW + 3 * HOUR_MS)).toBe(15);
  });

  it('at once for the same hours ask once', async () => {
    answering(50);
    const sources = gb();
    await Promise.all([sources.intensity(NOW, NOW + HOUR_MS), sources.intensity(NOW, NOW + HOUR_MS)]);
    expect(service.asked).toHaveLength(1);
  });

  it('in turns for other hours do not drive out each other’s answer', async () => {
    answering();
    const sources = gb();
    for (let i = 0; i < 4; i++) {
      await sources.intensity(NOW, NOW + HOUR_MS);
      await sources.intensity(NOW + 3 * HOUR_MS, NOW + 4 * HOUR_MS);
    }
    expect(service.asked).toHaveLength(2);
  });
});

it('an answer that does not depend on the hours is not asked for again for others', async () => {
  const column = (value: number) => Array.from({ length: 96 }, () => value);
  service.reply = json({
    hourly: {
      time: Array.from({ length: 96 }, (_, i) => NOW / 1000 + (i - 23) * 3600),
      shortwave_radiation: column(300),
      direct_normal_irradiance: column(400),
      diffuse_radiation: column(100),
      temperature_2m: column(9),
      wind_speed_10m: column(3),
    },
  });
  const sources = service.open({ weather: { kind: 'open-meteo', baseUrl: service.baseUrl } });
  for (const hours of [1, 24, 3, 48]) await sources.weather(NOW, NOW + hours * HOUR_MS);
  expect(service.asked).toHaveLength(1);
});

it('what a service wants of peace is kept over a restart', async () => {
  service.reply = (_, response) => response.writeHead(429, { 'retry-after': '7200' }).end();
  await gb().intensity(NOW, NOW + HOUR_MS);
  service.nowMs += HOUR_MS;
  await gb().intensity(NOW, NOW + HOUR_MS);
  expect(service.asked).toHaveLength(1);
  service.nowMs += 1.1 * HOUR_MS;
  await gb().intensity(NOW, NOW + HOUR_MS);
  expect(service.asked).toHaveLength(2);
});

it('a retry-after that is a date goes by the clock of the site', async () => {
  const until = new Date(NOW + 2 * HOUR_MS).toUTCString();
  service.reply = (_, response) => response.writeHead(503, { 'retry-after': until }).end();
  const sources = gb();
  await sources.intensity(NOW, NOW + HOUR_MS);
  service.nowMs += 1.9 * HOUR_MS;
  await sources.intensity(NOW, NOW + HOUR_MS);
  expect(service.asked).toHaveLength(1);
});

it('GB Carbon Intensity is asked for fourteen days at most', async () => {
  answering();
  const { averageG } = await gb().intensity(NOW, NOW + 20 * 24 * HOUR_MS);
  expect(service.asked[0]).toBe(`/intensity/${iso(NOW)}/${iso(NOW + 14 * 24 * HOUR_MS)}`);
  expect(valueAt(averageG!, NOW + 15 * 24 * HOUR_MS)).toBeNaN();
});

it('a base URL may have a path, and no password or query', async () => {
  answering();
  const of = (baseUrl: string) => service.open({ intensity: { kind: 'gb-carbon-intensity', baseUrl } });
  service.reply = (request, response) => {
    request.url = request.url!.replace('/proxy', '');
    json({ data: [{ from: iso(NOW), intensity: { forecast: 7 } }] })(request, response);
  };
  await of(`${service.baseUrl}/proxy/`).intensity(NOW, NOW + HOUR_MS);
  expect(service.asked[0]).toMatch(/^\/proxy\/intensity\//);
  for (const bad of ['http://me:secret@127.0.0.1', 'http://127.0.0.1/?key=1']) expect(() => of(bad)).toThrow(/query/);
});

it('a clock that is wrong is named beside an answer of other hours', async () => {
  service.reply = json({ data: [{ from: iso(NOW - 30 * HOUR_MS), intensity: { forecast: 7 } }] });
  await gb().intensity(NOW, NOW + HOUR_MS);
  expect(service.said.join()).toMatch(/ends at 2026-03-09T06:30Z.*clock here says 2026-03-10T12:00Z/);
});
