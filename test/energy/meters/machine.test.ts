import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelledPower, ratedPower } from '../../../src/energy/meters/machine/load-model.ts';
import { machineMeter } from '../../../src/energy/meters/machine/machine.ts';
import { parseNvidia } from '../../../src/energy/meters/machine/nvidia.ts';
import { readPowerSupply } from '../../../src/energy/meters/machine/power-supply.ts';
import { parsePowermetrics } from '../../../src/energy/meters/machine/powermetrics.ts';
import { findZones, powerBetween, RAPL_COMMAND } from '../../../src/energy/meters/machine/rapl.ts';
import { type System, thisSystem } from '../../../src/energy/meters/machine/system.ts';
import type { Outcome, Reading } from '../../../src/energy/meters/reading.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'heliotrope-sysfs-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Files as sysfs shows them. */
function files(folder: string, contents: Readonly<Record<string, string | number>>): void {
  mkdirSync(path.join(root, folder), { recursive: true });
  for (const [name, content] of Object.entries(contents)) writeFileSync(path.join(root, folder, name), `${content}\n`);
}
const zone = (entry: string, name: string, energyUj: number, rangeUj = 262_143_328_850): void =>
  files(`sys/class/powercap/${entry}`, { name, energy_uj: energyUj, max_energy_range_uj: rangeUj });

interface Scripted extends System {
  /** Time passes. */
  pass(ms: number): void;
}
const system = (changes: Partial<System> = {}): Scripted => {
  let nowMs = 0;
  return {
    ...thisSystem,
    root,
    platform: 'linux',
    run: async () => undefined,
    processor: () => ({
      model: 'Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz',
      threads: 12,
      busyMs: nowMs / 2,
      totalMs: nowMs,
    }),
    monotonicMs: () => nowMs,
    clock: () => 1_780_000_000_000 + nowMs,
    pass: (ms) => (nowMs += ms),
    ...changes,
  };
};
const readingOf = (outcomes: readonly Outcome[], quantity = 'compute-power'): Reading => {
  const outcome = outcomes.find((o) => o.quantity === quantity);
  if (outcome?.ok !== true) throw new Error(`no ${quantity}: ${outcome?.problem.message}`);
  return outcome.reading;
};

describe('RAPL', () => {
  it('counts packages and their memory, and nothing twice', () => {
    zone('intel-rapl:0', 'package-0', 0);
    zone('intel-rapl:0:0', 'core', 0);
    zone('intel-rapl:0:1', 'dram', 0);
    zone('intel-rapl:1', 'package-1', 0);
    zone('intel-rapl:1:1', 'dram', 0);
    zone('intel-rapl:2', 'psys', 0);
    zone('intel-rapl-mmio:0', 'package-0', 0);
    files('sys/class/powercap/intel-rapl', { enabled: 1 });
    expect(findZones(root).map(({ name }) => name)).toEqual(['package-0', 'dram', 'package-1', 'dram']);
    expect(findZones(path.join(root, 'nowhere'))).toEqual([]);
  });

  it('is the mean since the poll before, with each counter over its own end', async () => {
    const machine = system();
    zone('intel-rapl:0', 'package-0', 262_143_000_000);
    zone('intel-rapl:1', 'package-1', 5_000_000);
    zone('intel-rapl:0:0', 'dram', 65_000_000_000, 65_712_999_613);
    const meter = machineMeter(machine);
    const first = meter.read();
    machine.pass(1_000);
    await first;
    machine.pass(9_000);
    // + 300 J over its end (262,143.328850 J), + 450 J, and + 800 J of which the end is at 712.999613.
    zone('intel-rapl:0', 'package-0', 300_000_000 - 328_850);
    zone('intel-rapl:1', 'package-1', 455_000_000);
    zone('intel-rapl:0:0', 'dram', 800_000_000 - 712_999_613, 65_712_999_613);
    const reading = readingOf(await meter.read());
    expect(reading.value).toBeCloseTo((300 + 450 + 800) / 9, 6);
    expect(reading.origin).toEqual({ quality: 'measured', method: 'RAPL package-0, dram, package-1' });
  });

  it('knows nothing when a counter may have begun again more than once, and models instead', async () => {
    const machine = system();
    zone('intel-rapl:0', 'package-0', 0);
    const meter = machineMeter(machine);
    const first = meter.read();
    machine.pass(1_000);
    await first;
    machine.pass(263_000);
    zone('intel-rapl:0', 'package-0', 50_000_000);
    const { origin } = readingOf(await meter.read());
    expect(origin).toMatchObject({ quality: 'modelled', insteadOf: /asked too rarely/ });
  });

  it('no wrap loses or adds energy, whatever the counters do', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1e6, max: 2 ** 38 }), fc.double({ min: 0, max: 0.999, noNaN: true })), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (packages, share) => {
          const zones = packages.map(([rangeUj]) => ({ name: 'package', file: '', rangeUj: rangeUj * 1_000 }));
          const start = packages.map(([rangeUj, at]) => Math.floor(rangeUj * 1_000 * at));
          // As long as one round at the most that a package takes.
          const seconds = Math.min(...zones.map(({ rangeUj }) => rangeUj / 1e9)) * 0.999;
          const rise = zones.map(({ rangeUj }) => Math.floor(Math.min(rangeUj, seconds * 1e9) * share * 0.99));
          const end = start.map((s, i) => (s + rise[i]!) % zones[i]!.rangeUj);
          const watts = powerBetween(zones, { atMs: 0, energyUj: start }, { atMs: seconds * 1_000, energyUj: end });
          const joules = rise.reduce((sum, r) => sum + r / 1e6, 0);
          expect(watts! * seconds).toBeCloseTo(joules, 3);
        },
      ),
    );
  });

  it('that only root may read is explained with the command that changes it', async () => {
    zone('intel-rapl:0', 'package-0', 0);
    chmodSync(root, 0o755);
    chmodSync(path.join(root, 'sys/class/powercap/intel-rapl:0/energy_uj'), 0o400);
    // Root reads everything: the test becomes nobody for a moment.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid!(65_534);
    else chmodSync(path.join(root, 'sys/class/powercap/intel-rapl:0/energy_uj'), 0);
    try {
      const machine = system();
      const reading = machineMeter(machine).read();
      machine.pass(1_000);
      const { origin } = readingOf(await reading);
      expect(origin.quality).toBe('modelled');
      expect(origin.insteadOf).toContain('RAPL package-0 may be read by root alone (EACCES)');
      expect(origin.insteadOf).toContain(RAPL_COMMAND);
      expect(RAPL_COMMAND).toBe('sudo chmod -R a+r /sys/class/powercap/intel-rapl*');
    } finally {
      if (isRoot) process.seteuid!(0);
    }
  });
});

describe('a GPU', () => {
  it('says its power and limit, or that it does not', () => {
    const output =
      '0, NVIDIA H100 80GB HBM3, 118.43, 700.00\n1, NVIDIA GeForce GT 710, [N/A], [N/A]\n2, Tesla K80, [Not Supported], 149.00\n';
    expect(parseNvidia(output)).toEqual([
      { index: 0, name: 'NVIDIA H100 80GB HBM3', powerW: 118.43, limitW: 700 },
      { index: 1, name: 'NVIDIA GeForce GT 710', powerW: undefined, limitW: undefined },
      { index: 2, name: 'Tesla K80', powerW: undefined, limitW: 149 },
    ]);
    expect(parseNvidia('NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.')).toEqual([]);
  });

  it('is added to the processor, with its limit where it says no power; and is missed when it falls silent', async () => {
    let output: string | undefined = '0, A, 100.5, 300\n1, B, [N/A], 75\n2, C, [N/A], [N/A]\n';
    const machine = system({ run: async (command) => (command === 'nvidia-smi' ? output : undefined) });
    zone('intel-rapl:0', 'package-0', 0);
    const meter = machineMeter(machine);
    const first = meter.read();
    machine.pass(1_000);
    await first;
    zone('intel-rapl:0', 'package-0', 60_000_000);
    machine.pass(2_000);
    const { value, origin } = readingOf(await meter.read());
    expect(value).toBeCloseTo(30 + 100.5 + 75, 6);
    expect(origin).toEqual({
      quality: 'assumed',
      method: 'RAPL package-0 + nvidia-smi GPU 0 (A) + limit of GPU 1 (B) + without GPU 2 (C), which tells no power',
    });
    output = undefined;
    machine.pass(2_000);
    expect(await meter.read()).toMatchObject([
      { ok: false, problem: { code: 'HELIO-6101', what: /nvidia-smi does not answer/ } },
    ]);
  });
});

describe('powermetrics', () => {
  // Lines of macOS 14 on Apple silicon and of macOS 12 on Intel.
  it.each([
    ['CPU Power: 2312 mW\nGPU Power: 415 mW\nANE Power: 0 mW\nCombined Power (CPU + GPU + ANE): 2727 mW\n', 2.727],
    ['CPU Power: 400 mW\nGPU Power: 100 mW\n', 0.5],
    ['Intel energy model derived package power (CPUs+GT+SA): 4.25W\n', 4.25],
    ['sudo: a password is required\n', undefined],
  ])('%j', (output, watts) => {
    expect(parsePowermetrics(output)).toBe(watts);
  });

  it('is what a Mac goes by, and how to let it run is said where it may not', async () => {
    const run = (output: string | undefined): Scripted =>
      system({ platform: 'darwin', run: async (command) => (command === 'sudo' ? output : undefined) });
    expect(readingOf(await machineMeter(run('Combined Power (CPU + GPU + ANE): 5500 mW\n')).read())).toMatchObject({
      value: 5.5,
      origin: { quality: 'measured', method: 'powermetrics' },
    });
    expect(readingOf(await machineMeter(run(undefined)).read()).origin.insteadOf).toMatch(/sudoers/);
  });
});

describe('a laptop', () => {
  const battery = (changes: Readonly<Record<string, string | number>>): void =>
    files('sys/class/power_supply/BAT0', { type: 'Battery', status: 'Discharging', capacity: 63, ...changes });

  it('on its battery: what the whole machine takes', async () => {
    files('sys/class/power_supply/AC', { type: 'Mains', online: 0 });
    files('sys/class/power_supply/mouse', { type: 'Battery', scope: 'Device', status: 'Discharging', capacity: 5 });
    battery({ power_now: 14_250_000 });
    const outcomes = await machineMeter(system()).read();
    expect(readingOf(outcomes)).toMatchObject({ value: 14.25, origin: { quality: 'measured', method: /battery/ } });
    expect(readingOf(outcomes, 'backup-charge').value).toBe(63);
    expect(readingOf(outcomes, 'mains').value).toBe(0);
  });

  it('knows current and voltage instead of power, and several batteries', () => {
    battery({ current_now: -1_200_000, voltage_now: 11_800_000 });
    files('sys/class/power_supply/BAT1', { type: 'Battery', status: 'Full', capacity: 100, power_now: 0 });
    expect(readPowerSupply(root)).toEqual({
      mains: undefined,
      chargePercent: 81.5,
      dischargeW: expect.closeTo(14.16, 6),
    });
  });

  it('on its mains says no power; a battery that discharges and does not say how much makes none up', () => {
    files('sys/class/power_supply/ucsi-source-psy', { type: 'USB', online: 1 });
    battery({ status: 'Charging', power_now: 30_000_000 });
    expect(readPowerSupply(root)).toEqual({ mains: true, chargePercent: 63, dischargeW: undefined });
    battery({ status: 'Discharging', power_now: 'none' });
    expect(readPowerSupply(root).dischargeW).toBeUndefined();
    files('sys/class/power_supply/BAT1', {
      type: 'Battery',
      status: 'Discharging',
      capacity: 63,
      power_now: 9_000_000,
    });
    expect(readPowerSupply(root).dischargeW).toBeUndefined();
    expect(readPowerSupply(path.join(root, 'nowhere'))).toEqual({});
  });

  it('whose battery was taken out has no charge, not 0', async () => {
    battery({});
    const meter = machineMeter(system());
    rmSync(path.join(root, 'sys'), { recursive: true });
    const outcome = (await meter.read()).find(({ quantity }) => quantity === 'backup-charge');
    expect(outcome).toMatchObject({ ok: false, problem: { code: 'HELIO-6101' } });
  });
});

describe('without any meter', () => {
  const table = readFileSync(path.resolve(import.meta.dirname, '../../../data/meters/cpu-tdp.csv'), 'utf8');

  it('TDP·(0.1 + 0.9·load³), as CodeCarbon has it', () => {
    // 95 W at 0, half and full load.
    expect([0, 0.5, 1, 2].map((load) => Number(modelledPower(95, load).toFixed(9)))).toEqual([9.5, 20.1875, 95, 95]);
  });

  // TDPs of the makers' product pages.
  it.each([
    ['Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz', 95],
    ['AMD Ryzen 9 5950X 16-Core Processor', 105],
    ['AMD EPYC 7742 64-Core Processor', 225],
    ['11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz', 28],
    ['Intel(R) N100', 6],
  ])('%s: %d W', (model, tdpW) => {
    expect(ratedPower(table, model, 8)).toEqual({ tdpW, from: `TDP ${tdpW} W` });
  });

  it('a processor that nobody knows: 4 W a thread', () => {
    expect(ratedPower(table, 'AMD EPYC', 2)).toEqual({ tdpW: 8, from: 'unknown processor, 4 W × 2 threads' });
  });

  it('is labelled as modelled', async () => {
    const machine = system();
    const meter = machineMeter(machine);
    const first = meter.read();
    machine.pass(1_000);
    expect(readingOf(await first)).toMatchObject({
      value: expect.closeTo(95 * 0.2125, 6),
      origin: { quality: 'modelled', method: 'TDP·(0.1 + 0.9·load³) at 50 % load, TDP 95 W' },
    });
  });

  it('and this very machine says something, too', async () => {
    const reading = readingOf(await machineMeter().read());
    expect(reading.value).toBeGreaterThan(0);
    expect(reading.value).toBeLessThan(2_000);
    expect(reading.origin.method).not.toBe('');
  });
});
