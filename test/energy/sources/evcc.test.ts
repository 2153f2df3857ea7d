import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tariffSchema } from '../../../src/energy/site/sources-schema.ts';
import { Evcc, evccState } from '../../../src/energy/sources/evcc.ts';
import { openSources } from '../../../src/energy/sources/index.ts';
import { type HttpDevice, httpDevice, type Said } from '../../services/http-device.ts';

/** evcc as docs.evcc.io/en/reference/state and its OpenAPI document it. */

const NOW = Date.parse('2026-03-10T12:00:00Z');
const garage = (change: Readonly<Record<string, unknown>> = {}) => ({
  title: 'Garage',
  mode: 'pv',
  connected: true,
  charging: true,
  enabled: true,
  chargePower: 2_760,
  offeredCurrent: 12,
  minCurrent: 6,
  maxCurrent: 16,
  effectiveMinCurrent: 6,
  effectiveMaxCurrent: 16,
  phasesActive: 1,
  vehicleSoc: 41,
  effectiveLimitSoc: 80,
  smartCostActive: false,
  ...change,
});
const vehicles = (...loadpoints: readonly unknown[]) => evccState({ loadpoints }).vehicles;

describe('a car that charges with the sun', () => {
  it('would take what is between its power and its most', () => {
    expect(vehicles(garage())).toEqual([{ name: 'Garage', leastW: 0, moreW: 16 * 230 - 2_760 }]);
    expect(vehicles(garage({ phasesActive: 3, chargePower: 8_280 }))).toMatchObject([{ moreW: 3 * 16 * 230 - 8_280 }]);
  });

  it('waits for its least power', () => {
    expect(vehicles(garage({ charging: false, enabled: false, chargePower: 0, offeredCurrent: 0 }))).toEqual([
      { name: 'Garage', leastW: 1_380, moreW: 3_680 },
    ]);
  });

  it.each([
    ['charges as fast as it can', { chargePower: 3_650, offeredCurrent: 16 }],
    ['is nearly full and takes less than it is offered', { chargePower: 900, offeredCurrent: 16 }],
    ['is full, and takes nothing of what it is offered', { charging: false, chargePower: 0 }],
    ['has reached its limit', { vehicleSoc: 80 }],
    ['charges at any price', { mode: 'now' }],
    ['is switched off', { mode: 'off', charging: false, enabled: false }],
    ['is away', { connected: false, charging: false, enabled: false }],
  ])('wants no more when it %s', (_, change) => {
    expect(vehicles(garage(change))).toEqual([]);
  });

  it('of older versions is read as well; a title that is none has a number', () => {
    expect(evccState({ result: { loadpoints: [garage({ title: '\u001b\n' })] } }).vehicles).toMatchObject([
      { name: 'charger 1' },
    ]);
    expect(evccState({ loadpoints: [garage({ mode: 'now', smartCostActive: true })] }).isCheap).toBe(true);
  });
});

let evcc: HttpDevice;
let answers: Record<string, Said>;
let folder: string;
let nowMs: number;
let said: string[];
beforeEach(async () => {
  [answers, nowMs, said] = [{}, NOW, []];
  folder = mkdtempSync(path.join(tmpdir(), 'evcc-'));
  evcc = await httpDevice(({ path: asked }) => answers[asked] ?? { status: 404, body: 'no' });
});
afterEach(async () => {
  await evcc.stop();
  rmSync(folder, { recursive: true });
});
const deps = () => ({
  nowMs: () => nowMs,
  random: () => 0.5,
  cacheFolder: folder,
  env: {},
  say: (sentence: string) => said.push(sentence),
  timeoutMs: 1_500,
});
const address = () => ({ host: '127.0.0.1', port: Number(evcc.host.split(':')[1]) });

describe('evcc over time', () => {
  it('is asked every ten seconds; what it said a minute ago says nothing of now', async () => {
    answers['/api/state'] = { body: { loadpoints: [garage()] } };
    const watch = new Evcc(address(), deps());
    await watch.poll();
    nowMs += 9_000;
    await watch.poll();
    expect([evcc.asked.length, watch.state(nowMs)?.vehicles.length]).toEqual([1, 1]);
    answers['/api/state'] = { status: 500, body: '' };
    for (let i = 0; i < 8; i++, nowMs += 10_000) await watch.poll();
    expect([watch.state(nowMs), watch.heardMs]).toEqual([undefined, NOW]);
    expect(said).toEqual([expect.stringMatching(/^what evcc leaves nobody knows: .*says 500/)]);
    answers['/api/state'] = { body: { loadpoints: [] } };
    await watch.poll();
    expect([watch.state(nowMs)?.vehicles, said.at(-1)]).toEqual([[], 'evcc is heard again']);
  });

  it.each([
    ['HTML', { body: '<!DOCTYPE html>' }, /HTML instead of JSON/],
    ['another program', { body: { power: 5 } }, /another shape: loadpoints/],
    [
      'a thousand chargers',
      { body: { loadpoints: Array.from({ length: 1_000 }, () => garage()) } },
      /another shape: loadpoints/,
    ],
    [
      'a power that is none',
      { body: { loadpoints: [garage({ chargePower: '11 kW' })] } },
      /loadpoints\.0\.chargePower/,
    ],
  ])('%s is told', async (_, answer, message) => {
    answers['/api/state'] = answer;
    const watch = new Evcc(address(), deps());
    await watch.poll();
    expect([watch.state(nowMs), said]).toEqual([undefined, [expect.stringMatching(message)]]);
  });
});

describe('its tariff', () => {
  const prices = async () => {
    const sources = openSources(
      {
        place: { latitudeDeg: 51.5, longitudeDeg: -0.1, altitudeM: 20 },
        timeZone: 'Europe/Berlin',
        intensity: { kind: 'constant', gPerKWh: 300 },
        weather: { kind: 'clear-sky', cloudFactor: 0.7 },
        tariff: tariffSchema.parse({ kind: 'evcc', ...address() }),
      },
      deps(),
    );
    return sources.tariff(NOW, NOW + 3 * 3_600_000);
  };

  it('has hours, quarters of them, and gaps', async () => {
    const rates = [
      { start: '2026-03-10T13:00:00+01:00', end: '2026-03-10T14:00:00+01:00', value: 0.31 },
      { start: '2026-03-10T14:00:00+01:00', end: '2026-03-10T14:15:00+01:00', value: -0.02 },
    ];
    answers['/api/tariff/grid'] = { body: { rates } };
    const { perKWh, currency } = (await prices())!;
    expect([currency, perKWh.stepMs, [...perKWh.values].slice(0, 6)]).toEqual([
      'EUR',
      900_000,
      [0.31, 0.31, 0.31, 0.31, -0.02, Number.NaN],
    ]);
    expect(perKWh.origin).toMatchObject({ quality: 'modelled', method: 'evcc, tariff of the grid' });
  });

  it('of versions before is read as well', async () => {
    const rates = [{ start: '2026-03-10T12:00:00Z', end: '2026-03-10T13:00:00Z', price: 0.25 }];
    answers['/api/tariff/grid'] = { body: { result: { rates } } };
    expect((await prices())!.perKWh.values[0]).toBe(0.25);
  });

  it('that nobody knows is none, and says why', async () => {
    expect(await prices()).toBeUndefined();
    expect(said).toEqual([expect.stringContaining('/api/tariff/grid')]);
  });
});
