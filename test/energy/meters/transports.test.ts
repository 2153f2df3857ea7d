import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { findMosquitto, findNut } from '../../../scripts/meter-servers.mjs';
import { discoverHomeAssistant } from '../../../src/energy/meters/discover.ts';
import { openMeter, type TemplateMeter } from '../../../src/energy/meters/meter.ts';
import type { Settings } from '../../../src/energy/meters/settings.ts';
import { parseTemplate } from '../../../src/energy/meters/template-file.ts';
import { readTemplate } from '../../../src/energy/meters/templates.ts';
import { homeAssistant } from '../../services/home-assistant.ts';
import { answersOf, httpDevice } from '../../services/http-device.ts';
import { modbusDevice, registers, wordsOf } from '../../services/modbus-device.ts';
import { mosquitto } from '../../services/mosquitto.ts';
import { nut } from '../../services/nut.ts';
import { freePort } from '../../services/ports.ts';
import { read, said } from './said.ts';

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});
const kept = <T extends { stop(): Promise<unknown> }>(server: T): T => {
  cleanUps.push(() => server.stop());
  return server;
};
async function meterOf(template: string, settings: Settings, clock?: () => number): Promise<TemplateMeter> {
  const parsed = template.includes('\n') ? parseTemplate(template, 'test.yaml') : readTemplate(template);
  const meter = await openMeter(parsed, settings, clock);
  cleanUps.push(() => meter.close());
  return meter;
}

describe.skipIf(findMosquitto() === undefined)('MQTT, against mosquitto', () => {
  const broker = async (lines?: readonly string[]) => {
    const server = await mosquitto(lines);
    cleanUps.push(() => server.remove());
    return server;
  };
  const SITE = {
    'evcc/site/grid/power': '-1520.5',
    'evcc/site/pvPower': '4200',
    'evcc/site/battery/power': '-900',
    'evcc/site/battery/soc': '71',
    'evcc/site/homePower': '1779.5',
  };
  const VALUES = {
    'grid-power': -1520.5,
    'pv-power': 4200,
    'battery-power': -900,
    'battery-charge': 71,
    'load-power': 1779.5,
  };

  it('evcc-mqtt reads what the broker has kept, and what comes later', async () => {
    const { port, publish } = await broker();
    await publish(SITE);
    const meter = await meterOf('evcc-mqtt', { host: '127.0.0.1', port });
    expect(said(await meter.read())).toEqual(VALUES);
    await publish({ 'evcc/site/pvPower': '3900' });
    await expect.poll(async () => said(await meter.read())['pv-power']).toBe(3900);
  });

  it('is there again after the broker was restarted', async () => {
    const server = await broker();
    await server.publish(SITE);
    const meter = await meterOf('evcc-mqtt', { host: '127.0.0.1', port: server.port });
    expect(said(await meter.read())).toEqual(VALUES);
    await server.stop();
    await expect.poll(async () => said(await meter.read())['grid-power']).toMatch(/^HELIO-6101 evcc \(MQTT\) at 127/);
    await server.start();
    await server.publish(SITE);
    expect(said(await meter.read())).toEqual(VALUES);
  });

  it('a message that is old counts as nothing, though the broker answers', async () => {
    const { port, publish } = await broker();
    await publish(SITE);
    let nowMs = 1_000_000;
    const meter = await meterOf('evcc-mqtt', { host: '127.0.0.1', port }, () => nowMs);
    expect(said(await meter.read())).toEqual(VALUES);
    nowMs += 121_000;
    expect(said(await meter.read())['grid-power']).toBe(
      'HELIO-6102 evcc (MQTT): the last message on evcc/site/grid/power is 121 s old.',
    );
  });

  it('victron-mqtt asks for its values, and takes null for a phase that there is not', async () => {
    const server = await broker();
    const { connectAsync } = (await import('mqtt')).default;
    const device = await connectAsync(`mqtt://127.0.0.1:${server.port}`);
    cleanUps.push(() => device.endAsync(true));
    const values: Readonly<Record<string, number | null>> = {
      'Ac/Grid/L1/Power': -240,
      'Ac/Grid/L2/Power': null,
      'Ac/Grid/L3/Power': null,
      'Dc/Battery/Power': 610,
      'Dc/Battery/Soc': 83.5,
      'Dc/Pv/Power': 1_050,
      'Ac/PvOnGrid/L1/Power': 200,
      'Ac/PvOnGrid/L2/Power': null,
      'Ac/PvOnGrid/L3/Power': null,
      'Ac/PvOnOutput/L1/Power': null,
      'Ac/PvOnOutput/L2/Power': null,
      'Ac/PvOnOutput/L3/Power': null,
    };
    // As dbus-flashmq does: nothing is kept, and all is said when somebody asks.
    await device.subscribeAsync('R/c0619ab/keepalive');
    device.on('message', () => {
      for (const [path, value] of Object.entries(values))
        device.publish(`N/c0619ab/system/0/${path}`, JSON.stringify({ value }));
    });
    expect(await read('victron-mqtt', { host: '127.0.0.1', port: server.port, portal: 'c0619ab' })).toEqual({
      'grid-power': -240,
      'battery-power': -610,
      'battery-charge': 83.5,
      'pv-power': 1250,
    });
  });

  it('a broker that wants a name refuses, in words', async () => {
    const { port } = await broker(['allow_anonymous false']);
    expect((await read('evcc-mqtt', { host: '127.0.0.1', port }))['grid-power']).toMatch(/^HELIO-6104 .*refused/);
  });

  it('a topic that nobody publishes, and one that is no number', async () => {
    const { port, publish } = await broker();
    await publish({ t: '{"a": "twelve"}' });
    const meter = await meterOf(
      `
name: two
about: two topics
source: mqtt
settings: { port: { about: port } }
url: "mqtt://127.0.0.1:{port}"
timeoutS: 2
values:
  - { quantity: pv-power, unit: W, from: { topic: nothing } }
  - { quantity: grid-power, unit: W, from: { topic: t, path: a } }
`,
      { port },
    );
    expect(said(await meter.read())).toEqual({
      'pv-power': 'HELIO-6102 two: nothing came on nothing within 2 s.',
      'grid-power': 'HELIO-6102 two: a in t is "twelve", which is no number.',
    });
  });
});

describe.skipIf(findNut() === undefined)('NUT, against upsd with its dummy driver', () => {
  const UPS = { 'battery.charge': '87', 'ups.load': '23', 'ups.realpower.nominal': '900', 'ups.status': 'OL CHRG' };

  it('reads power, charge and mains, also where only the load is known', async () => {
    const { port } = kept(await nut(UPS));
    const outcomes = await (await meterOf('nut', { port, ups: 'attic' })).read();
    expect(said(outcomes)).toEqual({ 'compute-power': 207, 'backup-charge': 87, mains: 1 });
    // 23 % of 900 W: the UPS measured a load, and nobody a power.
    expect(outcomes).toMatchObject([
      { reading: { origin: { quality: 'modelled' } } },
      { reading: { origin: { quality: 'measured' } } },
      { reading: { origin: { quality: 'measured' } } },
    ]);
    expect(await read('nut', { port, ups: 'attic', user: 'watcher', password: 'se cret' })).toMatchObject({ mains: 1 });
  });

  it('an outage, and a UPS that measures', async () => {
    const { port } = kept(await nut({ ...UPS, 'ups.realpower': '311', 'ups.status': 'OB DISCHRG' }));
    expect(await read('nut', { port, ups: 'attic' })).toEqual({ 'compute-power': 311, 'backup-charge': 87, mains: 0 });
  });

  it('a UPS of which nothing is known yet has no outage', async () => {
    const { port } = kept(await nut({ ...UPS, 'ups.status': 'WAIT' }));
    expect(await read('nut', { port, ups: 'attic' })).toMatchObject({
      mains: 'HELIO-6102 UPS (Network UPS Tools): it says that it has no mains.',
    });
  });

  it('a name that no UPS has; a cable that is pulled; a server that is gone', async () => {
    const server = await nut(UPS);
    cleanUps.push(() => server.stop().catch(() => undefined));
    expect(await read('nut', { port: server.port, ups: 'cellar' })).toMatchObject({
      mains: `HELIO-6102 UPS (Network UPS Tools): there is no UPS cellar at 127.0.0.1:${server.port}.`,
    });
    const meter = await meterOf('nut', { port: server.port, ups: 'attic' });
    expect(said(await meter.read()).mains).toBe(1);
    await server.pullCable();
    await expect
      .poll(async () => said(await meter.read()).mains, { timeout: 30_000, interval: 500 })
      .toMatch(/^HELIO-6101 .*its server has lost attic/);
    await server.stop();
    expect(said(await meter.read()).mains).toMatch(/^HELIO-6101/);
  });
});

describe('Home Assistant', () => {
  const TOKEN = 'long-lived';
  const STATES = {
    'sensor.grid_power': ['-1.52', 'kW'],
    'sensor.pv_power': ['4200', 'W'],
    'sensor.battery_in': ['0.9', 'kW'],
    'sensor.battery_out': ['0', 'W'],
    'sensor.battery_charge': ['71', '%'],
    'sensor.grid_total': ['1234.5', 'kWh'],
    'sensor.return_total': ['99', 'kWh'],
    'sensor.pv_total': ['12', 'MWh'],
    'sensor.voltage': ['231', 'V'],
  } as const;
  const PREFERENCES = {
    energy_sources: [
      {
        type: 'grid',
        stat_energy_from: 'sensor.grid_total',
        stat_energy_to: 'sensor.return_total',
        stat_rate: 'sensor.grid_power',
        cost_adjustment_day: 0,
      },
      { type: 'solar', stat_energy_from: 'sensor.pv_total', stat_rate: 'sensor.pv_power' },
      {
        type: 'battery',
        stat_energy_from: 'sensor.a',
        stat_energy_to: 'sensor.b',
        power_config: { stat_rate_from: 'sensor.battery_out', stat_rate_to: 'sensor.battery_in' },
        stat_soc: 'sensor.battery_charge',
      },
      { type: 'gas', stat_energy_from: 'sensor.gas' },
    ],
    device_consumption: [],
  };
  const VALUES = {
    'grid-power': -1520,
    'import-energy': 1_234_500,
    'export-energy': 99_000,
    'pv-power': 4200,
    'pv-energy': 12_000_000,
    'battery-power': -900,
    'battery-charge': 71,
  };
  const serve = async (preferences: unknown = PREFERENCES) => kept(await homeAssistant(TOKEN, STATES, preferences));
  const settings = (port: number) => ({ host: '127.0.0.1', port, token: TOKEN });

  it('one question finds grid, panels, battery and charge, each in its own unit', async () => {
    const { port } = await serve();
    const { outcomes, notes } = await discoverHomeAssistant(settings(port));
    expect(said(outcomes)).toEqual(VALUES);
    expect(notes).toEqual([]);
  });

  it('follows states, and “unavailable” is nothing', async () => {
    const home = await serve();
    const meter = await meterOf('home-assistant', settings(home.port));
    await meter.read();
    home.set('sensor.pv_power', '3.9', 'kW');
    expect(said(await meter.read())['pv-power']).toBe(3900);
    home.set('sensor.pv_power', 'unavailable');
    expect(said(await meter.read())['pv-power']).toBe('HELIO-6102 Home Assistant: it says that it has no pv-power.');
  });

  it('is there again after its connection was cut, and says when it hangs', async () => {
    const home = await serve();
    const template = { ...readTemplate('home-assistant'), timeoutS: 2 };
    const meter = await openMeter(template, settings(home.port));
    cleanUps.push(() => meter.close());
    expect(said(await meter.read())).toEqual(VALUES);
    home.cutAll();
    await expect.poll(async () => said(await meter.read())['grid-power']).toBe(-1520);
    home.hang();
    expect(said(await meter.read())['grid-power']).toMatch(/^HELIO-6105 .*did not answer ping within 2 s/);
  });

  it('refuses a token in words', async () => {
    const { port } = await serve();
    expect((await read('home-assistant', { host: '127.0.0.1', port, token: 'old' }))['grid-power']).toMatch(
      /^HELIO-6104 .*Invalid access token/,
    );
  });

  it('says what is missing in its Energy settings', async () => {
    const { port } = await serve({
      energy_sources: [
        { type: 'solar', stat_energy_from: 'tibber:solar' },
        { type: 'battery', stat_energy_from: 'sensor.a', stat_energy_to: 'sensor.b', stat_rate: 'sensor.battery_in' },
      ],
    });
    const meter = await meterOf('home-assistant', settings(port));
    expect(said(await meter.read())).toEqual({ 'battery-power': 900 });
    expect(meter.notes.join('\n')).toMatch(
      /solar has no power sensor.*tibber:solar is a statistic.*no sensor of its charge.*no grid under Settings/s,
    );
    const { port: none } = kept(await homeAssistant(TOKEN, STATES));
    expect((await read('home-assistant', settings(none)))['grid-power']).toMatch(
      /^HELIO-6102 .*Energy settings name nothing/,
    );
  });

  it('home-assistant-entities reads those that were named, and refuses a unit that does not fit', async () => {
    const { port } = await serve();
    expect(
      await read('home-assistant-entities', {
        ...settings(port),
        grid: 'sensor.grid_power',
        pv: 'sensor.voltage',
        load: 'sensor.none',
        'sign.grid-power': -1,
      }),
    ).toEqual({
      'grid-power': 1520,
      'pv-power': 'HELIO-6102 Home Assistant (entities): sensor.voltage is in V, and pv-power is in W.',
      'load-power': 'HELIO-6102 Home Assistant (entities): there is no entity sensor.none.',
    });
  });
});

describe('a meter that fails', () => {
  /** Answers every connection as it is told. */
  const raw = async (onData: (socket: Socket, data: Buffer) => void): Promise<number> => {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined).on('data', (data) => onData(socket, data));
    });
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
    );
    cleanUps.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return port;
  };
  const MODBUS = `
name: box
about: a box
source: modbus
settings: { port: { about: port } }
host: 127.0.0.1
port: "{port}"
unit: 3
timeoutS: 2
values:
  - { quantity: pv-power, unit: W, from: { register: 10, type: int16 } }
  - { quantity: grid-power, unit: W, from: { register: 11, type: int16 } }
`;

  it('a Modbus device that dies in the middle of a poll, and is back', async () => {
    const words = registers({ 10: wordsOf(100, 1), 11: wordsOf(-5, 1) });
    const device = await modbusDevice(words, 3);
    const meter = await meterOf(MODBUS, { port: device.port });
    expect(said(await meter.read())).toEqual({ 'pv-power': 100, 'grid-power': -5 });
    await device.stop();
    const gone = said(await meter.read());
    expect(gone['pv-power']).toMatch(/^HELIO-6101 box at 127\.0\.0\.1/);
    expect(gone['grid-power']).toMatch(/^HELIO-6101/);
    kept(await modbusDevice(words, 3, device.port));
    expect(said(await meter.read())).toEqual({ 'pv-power': 100, 'grid-power': -5 });
  });

  it('a wrong unit id is met with silence, and said to be', async () => {
    const device = kept(await modbusDevice(registers({ 10: [1], 11: [1] }), 7));
    expect(said(await (await meterOf(MODBUS, { port: device.port })).read())['pv-power']).toMatch(
      /^HELIO-6105 .*a wrong unit id is met with silence/,
    );
  });

  it('a register that is not there concerns that value alone', async () => {
    const device = kept(await modbusDevice(registers({ 11: wordsOf(-5, 1) }), 3));
    expect(said(await (await meterOf(MODBUS, { port: device.port })).read())).toEqual({
      'pv-power': expect.stringMatching(/^HELIO-6102 .*it has no such register \(exception 2\)/),
      'grid-power': -5,
    });
  });

  it.each([
    ['garbage', (socket: Socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /HELIO-6102 .*no Modbus frame/],
    [
      'the answer to another request',
      (socket: Socket, data: Buffer) => socket.write(Buffer.from([0xff, 0xff, 0, 0, 0, 5, 3, 3, 2, 0, data[7]!])),
      /HELIO-6102 .*answer to another request/,
    ],
    [
      'fewer bytes than it was asked for',
      (socket: Socket, data: Buffer) => socket.write(Buffer.from([data[0]!, data[1]!, 0, 0, 0, 3, 3, 3, 0])),
      /HELIO-6102 .*0 bytes instead of 2/,
    ],
    ['half a frame', (socket: Socket, data: Buffer) => socket.write(data.subarray(0, 6)), /HELIO-6105/],
    ['a closed door', (socket: Socket) => socket.destroy(), /HELIO-6101 .*closed the connection/],
    [
      'a gateway without the device',
      (socket: Socket, data: Buffer) => socket.write(Buffer.from([data[0]!, data[1]!, 0, 0, 0, 3, 3, 0x83, 11])),
      /HELIO-6101 .*no device answers at this unit id/,
    ],
  ] as const)('Modbus: %s', async (_, answer, message) => {
    const port = await raw((socket, data) => void answer(socket, data));
    expect(said(await (await meterOf(MODBUS, { port })).read())['pv-power']).toMatch(message);
  });

  const HTTP = `
name: page
about: a page
source: http
settings: { host: { about: host }, password: { about: password, optional: true } }
url: "http://{host}"
authorization: { kind: digest, user: admin, password: "{password}" }
timeoutS: 2
values:
  - { quantity: pv-power, unit: kW, from: { get: /v, path: p } }
`;
  it.each([
    ['a web page', { body: '<!doctype html><title>Log in</title>' }, /HELIO-6102 .*looks like a web page/],
    ['429', { status: 429, body: 'slow down' }, /HELIO-6101 .*says 429/],
    ['500', { status: 500, body: 'oh' }, /HELIO-6101 .*says 500/],
    ['404', { status: 404, body: 'no' }, /HELIO-6102 .*says 404/],
    ['a redirect', { status: 302, headers: { location: 'https://x/' }, body: '' }, /HELIO-6102 .*leads elsewhere/],
    ['401', { status: 401, body: '' }, /HELIO-6104/],
    ['nothing, ever', { body: undefined }, /HELIO-6105 .*within 2 s/],
    ['no such field', { body: { q: 1 } }, /HELIO-6102 .*there is no p in \/v/],
    ['null', { body: { p: null } }, /HELIO-6102 .*has no pv-power/],
    ['text', { body: { p: 'much' } }, /HELIO-6102 .*"much", which is no number/],
    ['NaN as text', { body: { p: 'NaN' } }, /HELIO-6102 .*has no pv-power/],
    ['far too much', { body: { p: 5_000 } }, /HELIO-6102 .*no home has more/],
    ['a negative plant', { body: { p: -3.2 } }, /HELIO-6102 .*never negative/],
    ['two megabytes', { body: 'x'.repeat(2 ** 21) }, /HELIO-6101 .*longer than/],
  ] as const)('HTTP: %s', async (_, answer, message) => {
    const device = kept(await httpDevice(() => answer));
    expect(said(await (await meterOf(HTTP, { host: device.host })).read())['pv-power']).toMatch(message);
  });

  it('HTTP: standby of an inverter is no production', async () => {
    const device = kept(await httpDevice(() => ({ body: { p: -0.004 } })));
    expect(said(await (await meterOf(HTTP, { host: device.host })).read())).toEqual({ 'pv-power': 0 });
  });

  it('HTTP: digest, as Shelly asks for it (RFC 7616), and a wrong password', async () => {
    const { createHash } = await import('node:crypto');
    const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
    const device = kept(
      await httpDevice(({ headers }) => {
        const given = headers.authorization ?? '';
        const field = (name: string): string => new RegExp(`${name}="?([^",]+)`).exec(given)?.[1] ?? '';
        const right = sha(`${sha('admin:shelly:secret')}:17:00000001:${field('cnonce')}:auth:${sha('GET:/v')}`);
        if (field('response') === right) return { body: { p: 1.5 } };
        const challenge = 'Digest qop="auth", realm="shelly", nonce="17", algorithm=SHA-256';
        return { status: 401, headers: { 'www-authenticate': challenge }, body: '' };
      }),
    );
    expect(said(await (await meterOf(HTTP, { host: device.host, password: 'secret' })).read())).toEqual({
      'pv-power': 1500,
    });
    expect(said(await (await meterOf(HTTP, { host: device.host, password: 'no' })).read())['pv-power']).toMatch(
      /^HELIO-6104/,
    );
  });

  it('HTTP: a certificate that nobody vouches for is refused until its owner allows it', async () => {
    const device = kept(await httpDevice(answersOf({ '/v': { p: 2 } }), true));
    const template = HTTP.replace('http://', 'https://');
    const meter = await meterOf(template, { host: device.host });
    const [outcome] = await meter.read();
    expect(outcome).toMatchObject({ ok: false, problem: { code: 'HELIO-6101', remedy: /selfSigned=true/ } });
    expect(said(await (await meterOf(template, { host: device.host, selfSigned: true })).read())).toEqual({
      'pv-power': 2000,
    });
  });

  it('whatever a server sends, a poll ends with a reason', async () => {
    // A generator of its own (LCG of Numerical Recipes), so that a failure comes again.
    let state = 17;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const port = await raw((socket, data) => {
      const noise = Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)));
      // Sometimes the beginning of a right answer.
      if (random(2) === 0 && data.length >= 7) data.copy(noise, 0, 0, Math.min(7, noise.length));
      socket.write(noise);
      if (random(3) === 0) socket.end();
    });
    const quick = async (template: string, settings: Settings): Promise<TemplateMeter> => {
      const meter = await openMeter({ ...readTemplate(template), timeoutS: 0.2 }, settings);
      cleanUps.push(() => meter.close());
      return meter;
    };
    const meters = [
      await quick('sma-inverter', { host: '127.0.0.1', port }),
      await quick('sunspec-meter', { host: '127.0.0.1', port }),
      await quick('nut', { port }),
      await quick('home-assistant', { host: '127.0.0.1', port, token: 't' }),
      await quick('evcc', { host: '127.0.0.1', port }),
      await quick('evcc-mqtt', { host: '127.0.0.1', port }),
    ];
    for (let round = 0; round < 15; round++)
      for (const meter of meters)
        for (const outcome of await meter.read())
          expect(outcome).toMatchObject({ ok: false, problem: { code: expect.stringMatching(/^HELIO-610[125]$/) } });
  });

  it('nobody there', async () => {
    const port = await freePort();
    expect((await read('nut', { port })).mains).toMatch(/^HELIO-6101 .*ECONNREFUSED/);
    expect((await read('home-assistant', { host: '127.0.0.1', port, token: 't' }))['pv-power']).toMatch(/^HELIO-6101/);
    expect((await read('victron-gx', { host: '127.0.0.1', port }))['pv-power']).toMatch(/^HELIO-6101/);
    expect((await read('opendtu', { host: `127.0.0.1:${port}` }))['pv-power']).toMatch(/^HELIO-6101/);
    expect((await read('evcc-mqtt', { host: '127.0.0.1', port }))['pv-power']).toMatch(/^HELIO-6101/);
  });
});
