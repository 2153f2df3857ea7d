import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { httpDevice } from '../services/http-device.ts';
import { type Running, run, scratch, start, tinyRun } from './command.ts';

/** What an owner meets: the grid fails and comes back; the first uplink fails, and the second carries on. */

interface Island {
  readonly island: string;
  readonly status: string;
  readonly tokens: number;
  readonly standing: { readonly reason: string; readonly next: { readonly what: string } | null };
}
interface Status {
  readonly mergedTokens: number;
  readonly islands: readonly Island[];
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function served(
  folder: string,
  name: string,
): Promise<{ serving: Running; link: string; status: () => Promise<Status> }> {
  const serving = start(
    ['serve', tinyRun(folder, name, { islands: 1, stop: { steps: 100_000 } }), '--port', '0'],
    folder,
  );
  ends.push(() => serving.child.kill('SIGKILL'));
  const link = /heliotrope join '(https?:[^']+)'/;
  await serving.said(link);
  return {
    serving,
    link: link.exec(serving.stderr())![1]!,
    status: async () => JSON.parse((await run(['status', name, '--json'], folder)).stdout) as Status,
  };
}

const soon = { timeout: 40_000, interval: 300 };

describe('an outage of the grid', { timeout: 180_000 }, () => {
  it('keeps the battery for the home: it hands in, is away, and trains again when grid and battery are back', async () => {
    const folder = scratch();
    const home = { gridW: 0, batteryW: 700, percent: 80, mains: 'on' };
    const device = await httpDevice(() => ({ body: home }));
    ends.push(() => device.stop());
    writeFileSync(
      path.join(folder, 'inverter.yaml'),
      `name: Inverter
about: an inverter with a battery
source: http
url: "http://${device.host}"
values:
  - { quantity: grid-power, unit: W, from: { get: /, path: gridW } }
  - { quantity: battery-power, unit: W, from: { get: /, path: batteryW } }
  - { quantity: battery-charge, unit: "%", from: { get: /, path: percent } }
  - { quantity: mains, unit: on/off, from: { get: /, path: mains, is: "on", isNot: "off" } }
`,
    );
    const site = path.join(folder, 'site.yaml');
    writeFileSync(
      site,
      `location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }
battery: { capacityWh: 10000, chargeW: 5000, dischargeW: 5000, reservePercent: 20, outageHours: 10 }
meters: [{ template: ${JSON.stringify(path.join(folder, 'inverter.yaml'))} }]
policy: { mode: sun-and-battery, startDelayS: 0, minOffMinutes: 0 }
`,
    );
    const { serving, link, status } = await served(folder, 'outage');
    const attic = async (): Promise<Island> => (await status()).islands[0]!;
    const island = start(
      ['join', link, '--name', 'attic', '--threads', '1', '--site', site, '--state', path.join(folder, 'attic')],
      folder,
    );
    ends.push(() => island.child.kill('SIGKILL'));
    // From the battery, until what 10 h without the grid need.
    await island.said(/trains: From the battery at 80 %; it stops at 42 %\./);
    await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(0);

    Object.assign(home, { mains: 'off', batteryW: 900, percent: 79 });
    await island.said("does not train: The grid is down: the battery's 79 % are for the home, about 19 h.");
    await expect.poll(async () => (await attic()).status, soon).toBe('away');
    const dark = await attic();
    expect(dark.standing.reason).toBe('grid-outage');
    expect((await run(['status', 'outage'], folder)).stdout).toContain(
      "grid-outage: The grid is down: the battery's 79 %",
    );
    const shown = JSON.parse(readFileSync(path.join(folder, 'home/site/standing.json'), 'utf8')) as {
      standing: unknown;
    };
    expect(shown.standing).toMatchObject({ state: 'away', reason: 'grid-outage' });
    // All that it had trained is merged, once.
    await expect.poll(async () => (await status()).mergedTokens, soon).toBe(dark.tokens);

    // The grid is back, and the outage has cost the battery what the next would need.
    Object.assign(home, { mains: 'on', batteryW: 0, percent: 40 });
    await island.said(/does not train: .* battery at 40 % of 60 %/);
    // It sleeps without a connection: the coordinator knows what it said last, and does not count it as gone.
    expect(await attic()).toMatchObject({ status: 'away', tokens: dark.tokens });

    Object.assign(home, { batteryW: 700, percent: 70 });
    await expect.poll(async () => (await attic()).status, soon).toBe('training');
    await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(dark.tokens);
    await island.said('trains: From the battery at 70 %');
    expect(serving.stderr()).not.toContain('attic is gone');
    for (const each of [island, serving]) each.child.kill('SIGINT');
    await Promise.all([island.done, serving.done]);
  });
});

describe('an uplink that fails', { timeout: 180_000 }, () => {
  it('is seen by the coordinator, the second carries on, and no token is lost or counted twice', async () => {
    const folder = scratch();
    const { serving, link, status } = await served(folder, 'uplinks');
    const port = Number(new URL(link).port);
    // A router in front of the host: each uplink comes from an address of its own.
    const open = new Map<Socket, string>();
    const down = new Set<string>();
    const router = createServer((socket) => {
      const from = socket.remoteAddress!.replace(/^::ffff:/, '');
      if (down.has(from)) return void socket.destroy();
      const server = connect(port, '127.0.0.1');
      open.set(socket, from);
      socket.on('error', () => {}).on('close', () => server.destroy());
      server.on('error', () => {}).on('close', () => socket.destroy());
      socket.pipe(server).pipe(socket);
    });
    await new Promise<void>((resolve) => router.listen(0, '0.0.0.0', resolve));
    ends.push(() => {
      router.close();
      for (const socket of open.keys()) socket.destroy();
    });
    const cut = (from: string): void => {
      down.add(from);
      for (const [socket, address] of open) if (address === from) socket.destroy();
    };
    const address = `127.0.0.1:${(router.address() as AddressInfo).port}`;
    const site = path.join(folder, 'site.yaml');
    writeFileSync(site, 'location: { latitudeDeg: 48, longitudeDeg: 7.85 }\npolicy: { mode: always }\n');
    const through = link.replace(new URL(link).host, address);
    const uplinks = ['--uplink', '127.0.0.2', '--uplink', '127.0.0.3'];
    const island = start(
      [
        'join',
        through,
        '--name',
        'attic',
        '--threads',
        '1',
        '--site',
        site,
        '--state',
        path.join(folder, 'attic'),
        ...uplinks,
      ],
      folder,
    );
    ends.push(() => island.child.kill('SIGKILL'));
    const attic = async (): Promise<Island> => (await status()).islands[0]!;
    await serving.said('attic is training');
    await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(0);
    expect([...open.values()]).toEqual(['127.0.0.2']);

    cut('127.0.0.2');
    await serving.said(/attic is gone/);
    const before = (await attic()).tokens;
    await island.said(`connected by ${address} from 127.0.0.3`);
    await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(before);
    expect((await attic()).status).toBe('training');

    // Both are lost: it goes on looking, and the coordinator keeps its place.
    cut('127.0.0.3');
    await expect.poll(async () => (await attic()).status, soon).toBe('gone');
    expect((await attic()).standing.reason).toBe('connection-lost');
    down.clear();
    const lost = (await attic()).tokens;
    await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(lost);
    // The owner pauses it: then all that it ever trained is merged, each token once.
    await run(['pause'], folder);
    await expect.poll(async () => (await attic()).status, soon).toBe('away');
    await expect.poll(async () => (await status()).mergedTokens - (await attic()).tokens, soon).toBe(0);
    for (const each of [island, serving]) each.child.kill('SIGINT');
    await Promise.all([island.done, serving.done]);
  });
});
