import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { HOUR_MS } from '../../../src/energy/series.ts';
import { json, localService, NOW } from './local-service.ts';

const service = localService();
const QUARTER_MS = HOUR_MS / 4;
const seconds = (ms: number): number => ms / 1000;

const answer = (times: readonly number[], ghi: readonly (number | null)[], wind = 3) => ({
  time: times,
  shortwave_radiation: ghi,
  direct_normal_irradiance: ghi.map(() => 500),
  diffuse_radiation: ghi.map(() => 100),
  temperature_2m: ghi.map(() => 9),
  wind_speed_10m: ghi.map(() => wind),
});
const open = (more: object = {}) =>
  service.open({ weather: { kind: 'open-meteo', baseUrl: service.baseUrl, ...more } });

describe('Open-Meteo', () => {
  it('gives quarters of an hour, each that which ends at its time', async () => {
    const times = [1, 2, 3, 4].map((i) => seconds(NOW + i * QUARTER_MS));
    service.reply = json({ minutely_15: answer(times, [100, 200, 300, 400]) });
    const { at, origin } = await open({ stepMinutes: 15 }).weather(NOW, NOW + HOUR_MS);
    expect([0, 1, 2, 3].map((i) => at(NOW + i * QUARTER_MS + 1)!.ghiWPerM2)).toEqual([100, 200, 300, 400]);
    expect(at(NOW + 4 * QUARTER_MS)).toBeUndefined();
    expect(origin.method).toBe('Open-Meteo, every 15 min');
    expect(new URL(service.asked[0]!, service.baseUrl).searchParams.get('minutely_15')).toContain('shortwave');
    expect(new URL(service.asked[0]!, service.baseUrl).searchParams.get('hourly')).toBeNull();
  });

  it('that has only gaps for the hours that are asked for is stood in for', async () => {
    service.reply = json({
      hourly: answer(
        [1, 2].map((i) => seconds(NOW + i * HOUR_MS)),
        [null, null],
      ),
    });
    const { at, origin } = await open().weather(NOW, NOW + 2 * HOUR_MS);
    expect(at(NOW)!.ghiWPerM2).toBeGreaterThan(100);
    expect(origin.method).toContain('clear sky × 0.7');
    expect(origin.insteadOf).toContain('open-meteo has nothing for these hours');
  });

  it('counts what cannot be: it stays unknown', async () => {
    service.reply = json({
      hourly: answer(
        [1, 2].map((i) => seconds(NOW + i * HOUR_MS)),
        [400, 40_000],
      ),
    });
    const { at, origin } = await open().weather(NOW, NOW + 2 * HOUR_MS);
    expect(at(NOW + HOUR_MS)).toBeUndefined();
    expect(origin.method).toContain('1 impossible values left out');
  });

  it('that gives wind in another unit than was asked for is refused', async () => {
    const hourly = answer([seconds(NOW + HOUR_MS)], [400]);
    service.reply = json({ hourly, hourly_units: { wind_speed_10m: 'km/h' } });
    const { origin } = await open().weather(NOW, NOW + HOUR_MS);
    expect(origin.insteadOf).toMatch(/wind_speed_10m in km\/h.*m\/s/);
  });

  it('takes the key of an account, which is kept and told nowhere', async () => {
    service.reply = json({ hourly: answer([seconds(NOW + HOUR_MS)], [400]) });
    await open({ token: { env: 'TOKEN' } }).weather(NOW, NOW + HOUR_MS);
    expect(service.asked[0]).toContain('apikey=top-secret');
    expect(readFileSync(path.join(service.folder, 'open-meteo.json'), 'utf8')).not.toContain('secret');
    service.reply = (_, response) => response.writeHead(400).end();
    service.nowMs += HOUR_MS;
    await open({ token: { env: 'TOKEN' } }).weather(NOW, NOW + HOUR_MS);
    expect(service.said.join()).toMatch(/says 400/);
    expect(service.said.join()).not.toContain('secret');
  });
});

describe('weather from a file', () => {
  const fromFile = (text: string, more: object = {}) => {
    const file = path.join(service.folder, 'weather.csv');
    writeFileSync(file, text);
    return service.open({ weather: { kind: 'file', path: file, ...more } });
  };

  it('has global irradiance, and what else its columns have; negative is 0 and told, a gap stays one', async () => {
    const sources = fromFile(
      'time,G,T\n2026-03-10T12:00Z,400,9\n2026-03-10T13:00Z,-4,8\n2026-03-10T14:00Z,,7\n2026-03-10T15:00Z,9000,7\n',
      { columns: { ghiWPerM2: 'G', airC: 'T' } },
    );
    const { at, origin } = await sources.weather(NOW, NOW + 4 * HOUR_MS);
    expect(at(NOW)).toEqual({ ghiWPerM2: 400, airC: 9, windMPerS: 2 });
    expect(at(NOW + HOUR_MS)!.ghiWPerM2).toBe(0);
    expect(at(NOW + 2 * HOUR_MS)).toBeUndefined();
    expect(at(NOW + 3 * HOUR_MS)).toBeUndefined();
    expect(origin.method).toMatch(/wind 2 m\/s assumed; 1 negative irradiances taken as 0; 1 impossible/);
    expect(origin.quality).toBe('modelled');
  });

  it('may have direct and diffuse irradiance and wind', async () => {
    const sources = fromFile('time,ghi,dni,dhi,air,wind\n2026-03-10T12:00Z,400,500,100,9,4\n', {
      columns: { dniWPerM2: 'dni', dhiWPerM2: 'dhi', airC: 'air', windMPerS: 'wind' },
    });
    expect((await sources.weather(NOW, NOW + HOUR_MS)).at(NOW)).toEqual({
      ghiWPerM2: 400,
      dniWPerM2: 500,
      dhiWPerM2: 100,
      airC: 9,
      windMPerS: 4,
    });
  });

  it('in kW is noticed', () => {
    const rows = Array.from(
      { length: 24 },
      (_, i) => `2026-03-10T${String(i).padStart(2, '0')}:00Z,${i === 12 ? 0.9 : 0.1}`,
    );
    expect(() => fromFile(`time,ghi\n${rows.join('\n')}`)).toThrow(/0\.9 W\/m².*kW/);
  });

  it('stands in for a service', async () => {
    const file = path.join(service.folder, 'weather.csv');
    writeFileSync(file, 'time,ghi\n2026-03-10T12:00Z,400\n');
    service.reply = (_, response) => response.writeHead(503).end();
    const sources = open({ fallback: [{ kind: 'file', path: file }] });
    const { at, origin } = await sources.weather(NOW, NOW + HOUR_MS);
    expect(at(NOW)!.ghiWPerM2).toBe(400);
    expect(origin.insteadOf).toContain('503');
  });
});
