import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sunPosition } from '../../src/energy/sun/index.ts';
import { answersOf, type HttpDevice, httpDevice } from '../services/http-device.ts';
import { type Outcome, start } from './command.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-meters-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const meters = (...args: readonly string[]): Promise<Outcome> => start(['meters', ...args], folder).done;

const OWN = `name: My inverter
about: the one in the cellar
source: http
settings:
  host: { about: its address }
  token: { about: its token, secret: true }
url: "http://{host}"
authorization: { kind: bearer, token: "{token}" }
values:
  - { quantity: pv-power, unit: kW, from: { get: /now, path: pv } }
  - { quantity: grid-power, unit: W, from: { get: /now, path: grid } }
  - { quantity: temperature, unit: C, from: { get: /now, path: heat } }
`;

describe('heliotrope meters', () => {
  let device: HttpDevice;
  beforeAll(async () => {
    writeFileSync(path.join(folder, 'own.yaml'), OWN);
    writeFileSync(path.join(folder, 'token'), 'secret\n');
    const answers = answersOf({ '/now': { pv: 4.2, grid: 3_600, heat: 41.26 } });
    device = await httpDevice((asked) =>
      asked.headers.authorization === 'Bearer secret' ? answers(asked) : { status: 403, body: '' },
    );
  });
  afterAll(() => device.stop());

  it('list has a line for each template, and an object of them all', async () => {
    const { status, stdout } = await meters('list');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^machine .*\n(?:[\w-]+ +(?:http|modbus|mqtt|home-assistant|nut) .*\n){14,}Try one/);
    const { templates } = JSON.parse((await meters('list', '--json')).stdout);
    expect(templates).toContainEqual(expect.objectContaining({ name: 'shelly-pro-3em', source: 'http' }));
  });

  it('check shows each value of a file of one’s own with unit and quality, and doubts a sign', async () => {
    const { status, stdout } = await meters('check', './own.yaml', '--host', device.host, '--set', 'token=@token');
    expect(stdout).toMatch(/pv-power +4,200 W {3}measured\n/);
    expect(stdout).toMatch(/grid-power +3,600 W {3}measured\n/);
    expect(stdout).toMatch(/temperature +41\.3 °C {3}measured\n/);
    expect(stdout).toMatch(/doubtful: .*is the sign of grid-power turned\?\n.*sign\.grid-power: -1/);
    expect(stdout).not.toContain('secret');
    expect(status).toBe(0);
    const turned = await meters(
      'check',
      'own.yaml',
      '--host',
      device.host,
      '--set',
      'token=@token',
      '--set',
      'sign.grid-power=-1',
      '--json',
    );
    expect(JSON.parse(turned.stdout)).toMatchObject({
      meter: 'My inverter',
      values: [
        { quantity: 'pv-power', value: 4_200, unit: 'W', origin: { quality: 'measured' }, ageMs: 0 },
        { quantity: 'grid-power', value: -3_600 },
        { quantity: 'temperature', value: 41.26, unit: 'C' },
      ],
      findings: [],
    });
  });

  it('panels that give at night are wrong, where it is night at their home', async () => {
    const elevation = (longitudeDeg: number): number =>
      90 - sunPosition({ latitudeDeg: 0, longitudeDeg, altitudeM: 0 }, Date.now()).zenithDeg;
    const [noon, midnight] = [0, 90, 180, -90]
      .toSorted((a, b) => elevation(b) - elevation(a))
      .filter((_, i) => i % 3 === 0);
    const check = (longitude: number): Promise<Outcome> =>
      meters('check', 'own.yaml', '--host', device.host, '--set', 'token=@token', `--at=0,${longitude}`);
    expect(await check(midnight!)).toMatchObject({ status: 1, stdout: /wrong: pv-power is 4,200 W at night/ });
    expect(await check(noon!)).toMatchObject({ status: 0, stdout: /doubtful: the sun is at/ });
  });

  it('exit statuses are those of other commands', async () => {
    expect(await meters('check', 'own.yaml', '--host', device.host, '--set', 'token=wrong')).toMatchObject({
      status: 4,
      stdout: /HELIO-6104 .*says 403/,
    });
    expect(await meters('check', 'opendtu', '--host', '127.0.0.1:9')).toMatchObject({
      status: 3,
      stdout: /unknown +HELIO-6101/,
    });
    expect(await meters('check', 'opendtu')).toMatchObject({ status: 2, stderr: /HELIO-6103 OpenDTU needs host/ });
    expect(await meters('check', 'machine', '--port', '1')).toMatchObject({
      status: 2,
      stderr: /HELIO-6103 .*no setting port/,
    });
    expect(await meters('check', 'own.yaml', '--set', 'nonsense')).toMatchObject({ status: 2, stderr: /HELIO-1006/ });
    expect(await meters('check', 'own.yaml', '--at', '91,0')).toMatchObject({
      status: 2,
      stderr: /latitude and longitude/,
    });
  });

  it('the machine itself says something, with how it knows', async () => {
    const { status, stdout } = await meters('check', 'machine');
    expect(status).toBe(0);
    expect(stdout).toMatch(/compute-power +[\d.]+ W {3}(measured|modelled|assumed): ./);
  });
});
