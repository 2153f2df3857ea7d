import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { energyFindings } from '../../src/cli/energy-findings.ts';
import { raplFinding } from '../../src/energy/meters/index.ts';
import { httpDevice } from '../services/http-device.ts';
import { localVtn } from '../services/vtn.ts';

let folder: string;
const ends: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'findings-'));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true });
});
const BUILT = Date.parse('2026-06-01T00:00:00Z');
const findings = async (yaml: string | undefined, nowMs = Date.now()) => {
  const siteFile = path.join(folder, 'site.yaml');
  if (yaml !== undefined) writeFileSync(siteFile, yaml);
  const found = await energyFindings({
    siteFile,
    nowMs,
    builtMs: BUILT,
    environment: { SECRET: 's3cret' },
    root: folder,
  });
  return (name: string) => found.find((each) => each.name === name);
};

it('without a home it says what the machine has, and finds no fault', async () => {
  const of = await findings(undefined);
  expect([of('Processor’s power'), of('Site file')]).toEqual([
    { name: 'Processor’s power', ok: true, found: expect.stringContaining('modelled by its load') },
    undefined,
  ]);
});

it('a clock before the software itself is wrong', async () => {
  const of = await findings(undefined, Date.parse('1970-01-02T00:00:00Z'));
  expect(of('Clock')).toMatchObject({
    ok: false,
    found: expect.stringMatching(/^1970-01-02T.*before this software/),
    fix: expect.stringContaining('set-ntp'),
  });
});

it('a site file that is wrong is told with its line', async () => {
  const of = await findings('location: { latitudeDeg: 48, longitudeDeg: 7.85 }\npolicy: { mode: green }\n');
  expect(of('Site file')).toMatchObject({ ok: false, found: expect.stringContaining('site.yaml:2:') });
});

it('counters that root alone may read: the command that changes it', () => {
  const zone = path.join(folder, 'sys/class/powercap/intel-rapl:0');
  mkdirSync(zone, { recursive: true });
  for (const [name, text] of [
    ['name', 'package-0'],
    ['max_energy_range_uj', '262143328850'],
    ['energy_uj', '5'],
  ] as const)
    writeFileSync(path.join(zone, name), text);
  expect(raplFinding(folder)).toEqual({ found: 'measured by RAPL: package-0' });
  // Root reads everything: there a folder in its place cannot be read.
  if (process.getuid?.() === 0) return;
  chmodSync(path.join(zone, 'energy_uj'), 0);
  expect(raplFinding(folder)).toEqual({
    found: expect.stringContaining('may be read by root alone'),
    fix: 'sudo chmod -R a+r /sys/class/powercap/intel-rapl*',
  });
});

it('every device and service of the site: who answers, and what to do where nobody does', async () => {
  const evcc = await httpDevice(({ path: asked }) =>
    asked === '/api/state'
      ? { body: { grid: { power: -400 }, pvPower: 900, loadpoints: [] } }
      : { status: 404, body: '' },
  );
  ends.push(() => evcc.stop());
  const vtn = await localVtn();
  ends.push(() => vtn.device.stop());
  const [host, port] = evcc.host.split(':');
  const site = (program: string) => `location: { latitudeDeg: 48, longitudeDeg: 7.85 }
evcc: { host: ${host}, port: ${port} }
meters: [{ template: evcc, host: ${host}, port: ${port} }, { template: shelly-pro-3em, host: "127.0.0.1:9" }]
gridOperator: { kind: openadr-3, baseUrl: "${vtn.baseUrl}", program: ${program}, clientId: { text: home-7 }, clientSecret: { env: SECRET } }
`;
  const of = await findings(site('Flex'));
  expect(of('Site file')).toMatchObject({ ok: true, found: expect.stringContaining('mode sun') });
  expect(of('Meter evcc')).toMatchObject({
    ok: true,
    found: expect.stringContaining('grid-power -400 W, pv-power 900 W'),
  });
  expect(of('Meter shelly-pro-3em')).toMatchObject({
    ok: false,
    found: expect.stringContaining('127.0.0.1:9'),
    fix: expect.any(String),
  });
  expect(of('evcc')).toEqual({ name: 'evcc', ok: true, found: 'no car waits for sun' });
  expect(of('Grid operator')).toEqual({ name: 'Grid operator', ok: true, found: 'program Flex is heard' });
  const wrong = await findings(site('Summer'));
  expect(wrong('Grid operator')).toMatchObject({ ok: false, found: expect.stringContaining('has no program Summer') });
});
