import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dayChart } from '../../../src/cli/provide/chart.ts';
import { parseEnergy, parseFacing, parseHours, parsePower } from '../../../src/cli/provide/quantities.ts';
import { askAll } from '../../../src/cli/provide/questions.ts';
import { rehearse } from '../../../src/cli/provide/rehearsal.ts';
import { serviceFor } from '../../../src/cli/provide/service.ts';
import { siteText } from '../../../src/cli/provide/site-text.ts';
import { MODES } from '../../../src/energy/policy/index.ts';
import { parseSite } from '../../../src/energy/site/site-file.ts';
import { newIdentity } from '../../../src/protocol/identity.ts';
import { signInvitation, writeLink } from '../../../src/protocol/invitation.ts';
import { run } from '../../e2e/command.ts';
import { httpDevice } from '../../services/http-device.ts';

describe('quantities as people write them', () => {
  it.each([
    ['8 kW', 8_000],
    ['8kWp', 8_000],
    ['8', 8_000],
    ['8000', 8_000],
    ['8000 W', 8_000],
    ['7,5 kW', 7_500],
    ['800 W', 800],
    ['none', 0],
  ])('a power of %s', (text, powerW) => expect(parsePower('--roof', text)).toBe(powerW));
  it.each([
    ['10 kWh', 10_000],
    ['10', 10_000],
    ['13.5', 13_500],
    ['5000 Wh', 5_000],
    ['none', 0],
  ])('an energy of %s', (text, wh) => expect(parseEnergy('--battery', text)).toBe(wh));
  it.each([
    ['south', [180]],
    ['South-West', [225]],
    ['east and west', [90, 270]],
    ['east,west', [90, 270]],
    ['200°', [200]],
  ])('a direction of %s', (text, degrees) => expect(parseFacing('--facing', text)).toEqual(degrees));
  it.each([
    ['22:00-06:00', [{ from: '22:00', to: '06:00' }]],
    [
      '22-6, 12:30-14',
      [
        { from: '22:00', to: '06:00' },
        { from: '12:30', to: '14:00' },
      ],
    ],
    ['none', []],
  ])('hours of %s', (text, hours) => expect(parseHours('--quiet', text)).toEqual(hours));
  it.each([
    () => parsePower('--roof', 'big'),
    () => parsePower('--roof', '-3 kW'),
    () => parseEnergy('--battery', 'Tesla'),
    () => parseFacing('--facing', 'up'),
    () => parseFacing('--facing', 'constructor'),
    () => parseHours('--quiet', '25-30'),
    () => parseHours('--quiet', 'at night'),
  ])('what cannot be read says how to give it (%#)', (read) => expect(read).toThrow(/cannot be read.*Give it like/s));
});

it('whatever is answered is a site file that is right, and can be lived', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        lat: fc.integer({ min: -65, max: 65 }).map(String),
        lon: fc.integer({ min: -180, max: 180 }).map(String),
        roof: fc.constantFrom('none', '1 kW', '8 kW', '300 W', '30kWp'),
        tilt: fc.constantFrom('0', '30', '90'),
        facing: fc.constantFrom('south', 'east and west', '10'),
        battery: fc.constantFrom('none', '5 kWh', '13.5', '500 Wh'),
        reserve: fc.constantFrom('0', '20', '75', '100'),
        quiet: fc.constantFrom('none', '22-6', '0:00-24:00'),
        power: fc.constantFrom('60 W', '200 W', '1.5 kW'),
        mode: fc.option(fc.constantFrom(...MODES), { nil: undefined }),
      }),
      async (flags) => {
        // A mode for what is not there is refused as in any site file.
        const needsRoof = flags.mode === 'sun' || flags.mode === 'sun-and-battery';
        fc.pre(
          !(needsRoof && flags.roof === 'none') && !(flags.mode === 'sun-and-battery' && flags.battery === 'none'),
        );
        const { mode, ...rest } = flags;
        const answers = await askAll({ ...rest, timeZone: 'UTC', ...(mode === undefined ? {} : { mode }) }, undefined);
        const site = parseSite(siteText(answers), 'site.yaml');
        const { trainedHours, slots } = rehearse(site, Date.UTC(2026, 5, 20), Date.UTC(2026, 5, 21));
        expect(slots.length).toBe(48);
        expect(trainedHours).toBeLessThanOrEqual(24);
        if (site.policy.mode === 'off' || flags.quiet === '0:00-24:00') expect(trainedHours).toBe(0);
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);

it('asks what is not given, takes the usual answer for an empty line, and asks again for what cannot be read', async () => {
  const asked: string[] = [];
  const says = ['', '', 'huge', '', '8 kW', '', '', '10 kWh', '', '', '', ''];
  const answers = await askAll({ timeZone: 'Europe/Berlin' }, async (question) => {
    asked.push(question);
    return says.shift() ?? '';
  });
  expect(answers).toMatchObject({
    latitudeDeg: 52.52,
    roofW: 8_000,
    facingDeg: [180],
    batteryWh: 10_000,
    mode: 'sun-and-battery',
  });
  expect(asked.filter((question) => question.startsWith('How big are the panels'))).toHaveLength(2);
});

it('a day as a terminal shows it: 48 columns, sun and training where they are, and now', () => {
  const site = parseSite(
    'location: { latitudeDeg: 48, longitudeDeg: 8, timeZone: Europe/Berlin }\nsolar: { arrays: [{ peakW: 8000, tiltDeg: 30, azimuthDeg: 180 }] }',
    's',
  );
  const midnight = Date.UTC(2026, 5, 19, 22);
  const { slots } = rehearse(site, midnight, midnight + 24 * 3_600_000);
  const lines = dayChart('today', slots, 'Europe/Berlin', midnight + 12.2 * 3_600_000, false);
  expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(80);
  const trains = lines.find((line) => line.includes('trains'))!.slice(9);
  expect(trains).toMatch(/^·{12,18}[░▒█]+·{4,12}$/);
  expect(lines.at(-1)!.indexOf('▲') - 9).toBe(24);
});

describe('the service', () => {
  const input = {
    program: ['/usr/bin/node', '/opt/it is 100%/main.ts'],
    name: 'home',
    siteFile: '/home/a/site.yaml',
    folder: '/home/a/state',
    link: 'https://host:7420/join#fingerprint=ab&invitation=secret',
    home: '/home/a',
  };

  it('of systemd passes its own check, and has the link in a file that only its owner reads', () => {
    const service = serviceFor({ ...input, platform: 'linux' })!;
    const unit = service.files.find(({ file }) => file.endsWith('.service'))!;
    expect(unit.content).not.toContain('secret');
    expect(service.files.find(({ content }) => content.includes('secret'))!.mode).toBe(0o600);
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-unit-'));
    const file = path.join(folder, 'heliotrope-home.service');
    // The program has to be there for the check.
    writeFileSync(file, unit.content.replace('/usr/bin/node', process.execPath));
    try {
      execFileSync('systemd-analyze', ['verify', file], { stdio: 'pipe' });
    } catch (error) {
      // Where there is no systemd nothing can be asked.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  });

  it.each(['darwin', 'win32'] as const)('of %s is well-formed, and starts the same command', (platform) => {
    const service = serviceFor({ ...input, platform })!;
    expect(service.files.every(({ mode }) => mode === 0o600)).toBe(true);
    const file = service.files.find(({ content }) => content.includes('<?xml'))!;
    const parser = [
      'python3',
      ['-c', 'import sys,xml.dom.minidom as m; m.parseString(sys.stdin.buffer.read())'],
    ] as const;
    const text = file.content.replace('\ufeff', '').replace('encoding="UTF-16"', 'encoding="UTF-8"');
    execFileSync(parser[0], parser[1], { input: text });
    expect(service.files.map(({ content }) => content).join('\n')).toMatch(/join.*--name.*home.*--site/s);
  });

  it('is installed and taken away without a trace', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-provide-'));
    const bin = path.join(folder, 'bin');
    const calls = path.join(folder, 'calls');
    execFileSync('mkdir', ['-p', bin, path.join(folder, 'user')]);
    // The part of systemd that needs a session: what it is asked is written down.
    writeFileSync(path.join(bin, 'systemctl'), `#!/bin/sh\necho "$@" >> ${calls}\n`);
    chmodSync(path.join(bin, 'systemctl'), 0o755);
    const host = await newIdentity();
    const invitation = await signInvitation({ run: 'r', role: 'island', id: 'i', uses: 1, expiresAt: 2e9 }, host);
    const link = writeLink({ addresses: ['host:7420'], secure: true, fingerprint: 'ab'.repeat(32), invitation });
    const env = {
      HOME: path.join(folder, 'user'),
      HELIOTROPE_HOME: path.join(folder, 'state'),
      PATH: `${bin}:${process.env.PATH}`,
    };
    const installed = await run(
      ['provide', link, '--yes', '--lat', '48', '--lon', '8', '--roof', '8kW', '--install'],
      folder,
      env,
    );
    expect([installed.status, installed.stdout]).toEqual([0, expect.stringContaining('Installed as a service')]);
    const unit = path.join(folder, 'user/.config/systemd/user/heliotrope-home.service');
    expect(readFileSync(unit, 'utf8')).not.toContain(invitation);
    const secret = path.join(folder, 'state/site/service.env');
    expect([statSync(secret).mode & 0o777, readFileSync(secret, 'utf8')]).toEqual([
      0o600,
      expect.stringContaining(invitation),
    ]);
    expect(readFileSync(calls, 'utf8')).toMatch(/--user daemon-reload\n--user enable --now heliotrope-home\.service/);
    mkdirSync(path.join(folder, 'state/islands/tiny-0123abcd-home'), { recursive: true });
    writeFileSync(path.join(folder, 'state/island.key'), 'key');
    const gone = await run(['provide', '--uninstall'], folder, env);
    expect([gone.status, gone.stdout]).toEqual([0, expect.stringContaining('without a trace')]);
    expect(readFileSync(calls, 'utf8')).toMatch(/--user disable --now heliotrope-home\.service/);
    expect([existsSync(unit), existsSync(path.join(folder, 'state'))]).toEqual([false, false]);
    expect(readdirSync(path.join(folder, 'user/.config/systemd/user'))).toEqual([]);
  }, 60_000);

  it('takes nothing of other islands with it, nor the key that they need', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-provide-'));
    const env = { HOME: folder, HELIOTROPE_HOME: path.join(folder, 'state') };
    const islands = path.join(folder, 'state/islands');
    const set = await run(
      ['provide', '--yes', '--lat', '48', '--lon', '8', '--roof', '8kW', '--name', 'attic'],
      folder,
      env,
    );
    expect(set.status).toBe(0);
    const others = ['tiny-0123abcd-lab', 'tiny-0123abcd-my-attic', 'attic-0123abcd-lab'];
    for (const each of ['tiny-0123abcd-attic', 'big-89abcdef-attic', ...others])
      mkdirSync(path.join(islands, each), { recursive: true });
    const key = path.join(folder, 'state/island.key');
    writeFileSync(key, 'key');
    const gone = await run(['provide', '--uninstall'], folder, env);
    expect([gone.status, gone.stdout]).toEqual([
      0,
      'Gone, with all of the island attic. The key of this machine stays: other islands of it have 3 runs.\n',
    ]);
    expect(readdirSync(islands).toSorted()).toEqual(others.toSorted());
    expect(existsSync(key)).toBe(true);
    // A second time there is no site file that would say whose anything is.
    const again = await run(['provide', '--uninstall'], folder, env);
    expect([again.status, readdirSync(islands).length, existsSync(key)]).toEqual([0, 3, true]);
  }, 60_000);
});

it.each([
  [['--roof', '8kW'], /--lat is missing/],
  [['--lat', '100', '--lon', '1'], /--lat 100 cannot be read/],
  [['--lat', '1', '--lon', '1', '--roof', '8kW', '--mode', 'green'], /--mode green is no mode/],
  [['--home-assistant', 'ha.local:8123', '--lat', '1', '--lon', '1'], /long-lived access token/],
  [['not-a-link', '--lat', '1', '--lon', '1'], /invitation|link/i],
])(
  '%j says what is wrong, and writes nothing',
  async (args, message) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-provide-'));
    const outcome = await run(['provide', ...args], folder, { HELIOTROPE_HOME: path.join(folder, 'state'), TZ: 'UTC' });
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toMatch(message);
    expect(existsSync(path.join(folder, 'state'))).toBe(false);
  },
  30_000,
);

it('with evcc no question about the home is left, and its cars come first', { timeout: 60_000 }, async () => {
  const state = {
    grid: { power: -300 },
    pvPower: 2_000,
    battery: { power: 0, soc: 80 },
    homePower: 400,
    loadpoints: [],
  };
  const evcc = await httpDevice(({ path: asked }) =>
    asked === '/api/state' ? { body: state } : { status: 404, body: '' },
  );
  const folder = mkdtempSync(path.join(tmpdir(), 'provide-evcc-'));
  try {
    const args = [
      'provide',
      '--evcc',
      `http://${evcc.host}/`,
      '--lat',
      '48',
      '--lon',
      '7.85',
      '--time-zone',
      'Europe/Berlin',
    ];
    const made = await run([...args, '--yes'], folder);
    expect([made.status, made.stderr]).toEqual([0, expect.stringContaining('evcc: grid-power -300 W')]);
    const site = parseSite(readFileSync(path.join(folder, 'home/site/site.yaml'), 'utf8'), 'site.yaml');
    const [host, port] = evcc.host.split(':');
    expect(site).toMatchObject({
      evcc: { host, port: Number(port), vehiclesFirst: true },
      meters: [],
      policy: { mode: 'sun-and-battery' },
    });
    expect(site.solar).toBeUndefined();
  } finally {
    await evcc.stop();
  }
  const wrong = await run(
    ['provide', '--evcc', 'https://evcc', '--yes'],
    mkdtempSync(path.join(tmpdir(), 'provide-evcc-')),
  );
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('--evcc https://evcc is no address')]);
});
