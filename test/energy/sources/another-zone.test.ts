import { expect, it } from 'vitest';
import { HOUR_MS } from '../../../src/energy/series.ts';
import { json, localService, NOW } from './local-service.ts';

const service = localService();

it('British figures are not used of another grid', () => {
  for (const zone of ['DE', 'GB-NIR'])
    expect(() => service.open({ zone, intensity: { kind: 'gb-carbon-intensity' } })).toThrow(zone);
  for (const zone of ['GB', 'UK', 'gb-ork'])
    expect(() => service.open({ zone, intensity: { kind: 'gb-carbon-intensity' } })).not.toThrow();
});

it('an answer about another zone is refused', async () => {
  const datetime = '2026-03-10T12:00:00.000Z';
  service.reply = json({ zone: 'FR', carbonIntensity: 30, datetime });
  const maps = service.open({
    zone: 'DE',
    intensity: { kind: 'electricity-maps', baseUrl: service.baseUrl, token: { env: 'TOKEN' } },
  });
  expect(await maps.intensity(NOW, NOW + HOUR_MS)).toEqual({});
  expect(service.said.join()).toMatch(/FR.*DE/);
  service.reply = (request, response) =>
    json(
      request.url === '/login'
        ? { token: 't' }
        : { data: [{ point_time: datetime, value: 900 }], meta: { region: 'ERCOT', units: 'lbs_co2_per_mwh' } },
    )(request, response);
  const time = service.open({
    intensity: { kind: 'watttime', baseUrl: service.baseUrl, user: 'me', token: { env: 'TOKEN' }, zone: 'PJM' },
  });
  expect(await time.intensity(NOW, NOW + HOUR_MS)).toEqual({});
  expect(service.said.join()).toMatch(/ERCOT.*PJM/);
});

it('estimated hours of Electricity Maps are told', async () => {
  const point = (hour: number, isEstimated: boolean) => ({
    carbonIntensity: 300,
    datetime: `2026-03-10T${hour}:00:00.000Z`,
    isEstimated,
  });
  service.reply = json({ zone: 'DE', history: [point(12, true), point(13, false)] });
  const { averageG } = await service
    .open({
      zone: 'DE',
      intensity: {
        kind: 'electricity-maps',
        baseUrl: service.baseUrl,
        token: { env: 'TOKEN' },
        products: ['history'],
      },
    })
    .intensity(NOW, NOW + HOUR_MS);
  expect(averageG!.origin.method).toContain('1 of 2 hours estimated');
  expect(service.asked[0]).toContain('emissionFactorType=lifecycle');
});
