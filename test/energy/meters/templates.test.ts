import { describe, expect, it } from 'vitest';
import { openMeter } from '../../../src/energy/meters/meter.ts';
import type { Quantity } from '../../../src/energy/meters/reading.ts';
import type { Settings } from '../../../src/energy/meters/settings.ts';
import { readTemplate, templateNames } from '../../../src/energy/meters/templates.ts';
import { answersOf, httpDevice } from '../../services/http-device.ts';
import { modbusDevice, registers, sunspec, wordsOf } from '../../services/modbus-device.ts';
import { read, type Said, said } from './said.ts';

/** Every template, read through to its values, against a server that answers as the maker documents it. */

const HTTP: readonly {
  readonly template: string;
  readonly answers: Readonly<Record<string, unknown>>;
  readonly settings?: Settings;
  readonly values: Partial<Record<Quantity, number>>;
}[] = [
  {
    // docs.evcc.io/en/reference/state, as versions before 0.207 wrapped it.
    template: 'evcc',
    answers: {
      '/api/state': {
        result: { grid: { power: -1_520.5 }, pvPower: 4_200, battery: { power: -900, soc: 71 }, homePower: 1_779.5 },
      },
    },
    values: {
      'grid-power': -1520.5,
      'pv-power': 4200,
      'battery-power': -900,
      'battery-charge': 71,
      'load-power': 1779.5,
    },
  },
  {
    template: 'evcc',
    answers: {
      '/api/state': { grid: { power: 300 }, pvPower: 0, battery: { power: 250, soc: 40 }, homePower: 550 },
    },
    values: { 'grid-power': 300, 'pv-power': 0, 'battery-power': 250, 'battery-charge': 40, 'load-power': 550 },
  },
  {
    template: 'shelly-pro-3em',
    answers: {
      '/rpc/EM.GetStatus?id=0': {
        id: 0,
        a_act_power: 11.3,
        b_act_power: -500.1,
        c_act_power: 20,
        total_act_power: -468.8,
      },
      '/rpc/EMData.GetStatus?id=0': { id: 0, total_act: 131_452.22, total_act_ret: 98_721.5 },
    },
    values: { 'grid-power': -468.8, 'import-energy': 131_452.22, 'export-energy': 98_721.5 },
  },
  {
    template: 'shelly-em',
    answers: { '/rpc/EM1.GetStatus?id=1': { id: 1, voltage: 234.9, act_power: 501.8 } },
    settings: { channel: 1, quantity: 'pv-power' },
    values: { 'pv-power': 501.8 },
  },
  {
    template: 'shelly-plug',
    answers: { '/rpc/Switch.GetStatus?id=0': { id: 0, output: true, apower: 287.4, aenergy: { total: 6_532 } } },
    values: { 'compute-power': 287.4 },
  },
  {
    template: 'tasmota-plug',
    answers: {
      '/cm?user=admin&password=a%26b&cmnd=Status%208': { StatusSNS: { ENERGY: { Total: 78.85, Power: [160, 12] } } },
    },
    settings: { channel: 1, password: 'a&b' },
    values: { 'compute-power': 12 },
  },
  {
    template: 'tasmota-plug',
    answers: { '/cm?user=admin&password=&cmnd=Status%208': { StatusSNS: { ENERGY: { Total: 3.1, Power: 95 } } } },
    values: { 'compute-power': 95 },
  },
  {
    template: 'tasmota-sml',
    answers: {
      '/cm?user=admin&password=&cmnd=Status%208': {
        StatusSNS: { SML: { Total_in: 12_345.678, Total_out: 5_000.5, Power_curr: -812 } },
      },
    },
    values: { 'grid-power': -812, 'import-energy': 12_345_678, 'export-energy': 5_000_500 },
  },
  {
    template: 'homewizard-p1',
    answers: {
      '/api/v1/data': {
        smr_version: 50,
        active_power_w: -543,
        total_power_import_t1_kwh: 10_830.511,
        total_power_import_t2_kwh: 2_948.827,
        total_power_export_kwh: 4.5,
      },
    },
    values: { 'grid-power': -543, 'import-energy': 13_779_338, 'export-energy': 4_500 },
  },
  {
    template: 'fronius',
    answers: {
      '/solar_api/v1/GetPowerFlowRealtimeData.fcgi': {
        Body: {
          Data: {
            Inverters: { 1: { DT: 1, P: 3_400, SOC: 55.1 } },
            Site: { P_Akku: -1_200.5, P_Grid: -800, P_Load: -1_399.5, P_PV: 3_400 },
          },
        },
      },
    },
    values: {
      'pv-power': 3400,
      'grid-power': -800,
      'battery-power': -1200.5,
      'battery-charge': 55.1,
      'load-power': 1399.5,
    },
  },
  {
    template: 'opendtu',
    answers: {
      '/api/livedata/status': {
        total: { Power: { v: 12.39999962, u: 'W', d: 1 }, YieldTotal: { v: 0.029999999, u: 'kWh', d: 3 } },
      },
    },
    values: { 'pv-power': 12.4, 'pv-energy': 29.999999 },
  },
];

describe('HTTP templates', () => {
  it.each(HTTP)('$template reads what its device documents', async ({ template, answers, settings = {}, values }) => {
    const device = await httpDevice(answersOf(answers));
    try {
      const [host, port] = device.host.split(':');
      const hasPort = Object.hasOwn(readTemplate(template).settings, 'port');
      const where = hasPort ? { host: host!, port: Number(port) } : { host: device.host };
      expect(await read(template, { ...where, ...settings })).toEqual(values);
      // One poll asks for each page once.
      expect(new Set(device.asked).size).toBe(device.asked.length);
    } finally {
      await device.stop();
    }
  });

  it('enphase-envoy finds the meters in its lists, over TLS that nobody vouches for, with its token', async () => {
    const device = await httpDevice(
      ({ path, headers }) =>
        headers.authorization === 'Bearer eyJ.token' && path === '/production.json?details=1'
          ? {
              body: {
                production: [
                  { type: 'inverters', wNow: 9, whLifetime: 1 },
                  { type: 'eim', measurementType: 'production', wNow: 3_518.2, whLifetime: 7_654_321 },
                ],
                consumption: [
                  { measurementType: 'total-consumption', wNow: 900 },
                  { measurementType: 'net-consumption', wNow: -2_618.2 },
                ],
              },
            }
          : { status: 401, body: '<html>401</html>' },
      true,
    );
    try {
      expect(await read('enphase-envoy', { host: device.host, token: 'eyJ.token' })).toEqual({
        'pv-power': 3518.2,
        'grid-power': -2618.2,
        'pv-energy': 7654321,
      });
      expect((await read('enphase-envoy', { host: device.host, token: 'old' }))['pv-power']).toMatch(
        /^HELIO-6104 .*production\.json says 401/,
      );
    } finally {
      await device.stop();
    }
  });

  it('enphase-battery reads milliwatts', async () => {
    const device = await httpDevice(
      answersOf({ '/ivp/livedata/status': { meters: { soc: 64, storage: { agg_p_mw: -1_250_000 } } } }),
      true,
    );
    try {
      expect(await read('enphase-battery', { host: device.host, token: 't' })).toEqual({
        'battery-power': -1250,
        'battery-charge': 64,
      });
    } finally {
      await device.stop();
    }
  });

  it('powerwall-2 signs in, and again when its session has ended', async () => {
    let session = 0;
    let gridStatus = 'SystemGridConnected';
    const device = await httpDevice(({ method, path, headers, body }) => {
      if (method === 'POST' && path === '/api/login/Basic') {
        const { username, password } = JSON.parse(body);
        if (username !== 'customer' || password !== 'ABCDE')
          return { status: 401, body: '{"error":"bad credentials"}' };
        session++;
        return {
          headers: { 'set-cookie': [`AuthCookie=a${session}; Path=/`, 'UserRecord=u; Path=/'] },
          body: { token: 'x' },
        };
      }
      if (headers.cookie !== `AuthCookie=a${session}; UserRecord=u`) return { status: 403, body: 'denied' };
      if (path === '/api/system_status/soe') return { body: { percentage: 81.4 } };
      if (path === '/api/system_status/grid_status') return { body: { grid_status: gridStatus } };
      return {
        body: {
          site: { instant_power: -25 },
          battery: { instant_power: -1_890 },
          load: { instant_power: 546 },
          solar: { instant_power: 2_461 },
        },
      };
    }, true);
    const meter = await openMeter(readTemplate('powerwall-2'), { host: device.host, password: 'ABCDE' });
    try {
      const values = { 'grid-power': -25, 'pv-power': 2461, 'battery-power': -1890, 'battery-charge': 81.4, mains: 1 };
      expect(said(await meter.read())).toEqual(values);
      session++;
      expect(said(await meter.read())).toEqual(values);
      gridStatus = 'SystemIslandedActive';
      expect(said(await meter.read())).toEqual({ ...values, mains: 0 });
      // On the way from one to the other it is neither.
      gridStatus = 'SystemTransitionToGrid';
      expect(said(await meter.read()).mains).toMatch(/^HELIO-6102/);
      expect((await read('powerwall-2', { host: device.host, password: 'wrong' }))['pv-power']).toMatch(
        /^HELIO-6104 .*its login says 401/,
      );
    } finally {
      await meter.close();
      await device.stop();
    }
  });
});

describe('Modbus templates, against modbus-serial’s server', () => {
  const serve = async (
    words: Map<number, number>,
    unit: number,
    template: string,
    settings: Settings = {},
  ): Promise<Said> => {
    const device = await modbusDevice(words, unit);
    try {
      return await read(template, { host: '127.0.0.1', port: device.port, ...settings });
    } finally {
      await device.stop();
    }
  };

  it('sunspec-inverter walks to model 103', async () => {
    const words = sunspec([
      { id: 1, size: 68, points: {} },
      {
        id: 103,
        size: 52,
        points: { 14: wordsOf(3_456, 1), 15: wordsOf(-1, 1), 24: wordsOf(81_234_567, 2), 26: wordsOf(0, 1) },
      },
    ]);
    expect(await serve(words, 1, 'sunspec-inverter')).toEqual({ 'pv-power': 345.6, 'pv-energy': 81234567 });
  });

  it('sunspec-inverter: an inverter that sleeps says "not implemented": 0, and only assumed', async () => {
    const words = sunspec(
      [{ id: 101, size: 52, points: { 14: [0x8000], 15: wordsOf(0, 1), 24: wordsOf(5, 2), 26: wordsOf(3, 1) } }],
      50_000,
    );
    const device = await modbusDevice(words, 1);
    const meter = await openMeter(readTemplate('sunspec-inverter'), { host: '127.0.0.1', port: device.port });
    const [power, energy] = await meter.read();
    expect(power).toMatchObject({ ok: true, reading: { value: 0, origin: { quality: 'assumed' } } });
    expect(energy).toMatchObject({ ok: true, reading: { value: 5_000, origin: { quality: 'measured' } } });
    await meter.close();
    await device.stop();
  });

  it('sunspec-battery reads model 802, and of 124 the charge alone', async () => {
    const bank = sunspec(
      [
        {
          id: 802,
          size: 64,
          points: { 11: wordsOf(6_450, 1), 56: wordsOf(-2, 1), 47: wordsOf(-183, 1), 63: wordsOf(1, 1) },
        },
      ],
      0,
    );
    expect(await serve(bank, 1, 'sunspec-battery')).toEqual({ 'battery-charge': 64.5, 'battery-power': -1830 });
    const storage = sunspec([{ id: 124, size: 26, points: { 8: wordsOf(4_700, 1), 22: wordsOf(-2, 1) } }]);
    expect(await serve(storage, 1, 'sunspec-battery')).toEqual({
      'battery-charge': 47,
      'battery-power': 'HELIO-6102 SunSpec battery: it has no SunSpec model 802; it has 124.',
    });
  });

  it('sunspec-meter reads a model that is longer than one request, and its sign can be turned', async () => {
    const points = {
      18: wordsOf(-1_234, 1),
      22: wordsOf(0, 1),
      38: wordsOf(7_000, 2),
      46: wordsOf(9_000, 2),
      54: wordsOf(1, 1),
    };
    const words = sunspec([
      { id: 1, size: 68, points: {} },
      { id: 203, size: 107, points },
    ]);
    expect(await serve(words, 240, 'sunspec-meter', { unit: 240 })).toEqual({
      'grid-power': -1234,
      'export-energy': 70000,
      'import-energy': 90000,
    });
    expect((await serve(words, 1, 'sunspec-meter', { sign: -1 }))['grid-power']).toBe(1234);
  });

  it('victron-gx adds the phases and its panels, and turns the battery', async () => {
    const words = registers({
      808: [0, 0, 0, 500, 510, 520],
      820: [...wordsOf(-100, 1), ...wordsOf(-250, 1), ...wordsOf(30, 1)],
      842: wordsOf(870, 1),
      843: [66],
      850: [1_200],
    });
    expect(await serve(words, 100, 'victron-gx')).toEqual({
      'grid-power': -320,
      'pv-power': 2730,
      'battery-power': -870,
      'battery-charge': 66,
    });
  });

  it('sma-inverter by day and by night', async () => {
    const day = registers({ 30775: wordsOf(4_321, 2), 30513: wordsOf(12_345_678_901n, 4) });
    expect(await serve(day, 3, 'sma-inverter')).toEqual({ 'pv-power': 4321, 'pv-energy': 12345678901 });
    const night = registers({ 30775: wordsOf(-(2 ** 31), 2), 30513: wordsOf(12_345_678_901n, 4) });
    expect(await serve(night, 3, 'sma-inverter')).toEqual({ 'pv-power': 0, 'pv-energy': 12345678901 });
  });

  it('sma-hybrid: half of a sum is no sum', async () => {
    const words = registers({ 30865: wordsOf(-(2 ** 31), 2), 30867: wordsOf(640, 2) });
    expect((await serve(words, 3, 'sma-hybrid'))['grid-power']).toBe(
      'HELIO-6102 SMA hybrid inverter: it says that it has no grid-power.',
    );
  });

  it('sma-hybrid takes export from import, and charge from discharge; one string may be missing', async () => {
    const words = registers({
      30773: wordsOf(2_500, 2),
      30961: wordsOf(-(2 ** 31), 2),
      30865: wordsOf(0, 2),
      30867: wordsOf(640, 2),
      31393: wordsOf(900, 2),
      31395: wordsOf(0, 2),
      30845: wordsOf(58, 2),
    });
    expect(await serve(words, 3, 'sma-hybrid')).toEqual({
      'pv-power': 2500,
      'grid-power': -640,
      'battery-power': -900,
      'battery-charge': 58,
    });
  });
});

it('ships at least fourteen templates, each tested here or beside', () => {
  const here = new Set([...HTTP.map(({ template }) => template), ...TESTED_ALONE]);
  expect(templateNames().filter((name) => !here.has(name))).toEqual([]);
  expect(templateNames().length).toBeGreaterThanOrEqual(14);
});
const TESTED_ALONE = [
  'enphase-battery',
  'enphase-envoy',
  'powerwall-2',
  'sma-hybrid',
  'sma-inverter',
  'sunspec-battery',
  'sunspec-inverter',
  'sunspec-meter',
  'victron-gx',
  // In transports.test.ts:
  'evcc-mqtt',
  'home-assistant',
  'home-assistant-entities',
  'nut',
  'victron-mqtt',
];
