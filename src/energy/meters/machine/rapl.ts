import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../../errors.ts';

/**
 * RAPL: energy counters of the processor's packages, in microjoules, which Linux shows under /sys/class/powercap (kernel documentation,
 * power/powercap). AMD's are there by the same name.
 */
export interface RaplZone {
  /** `package-0`, `dram`, `psys`. */
  readonly name: string;
  readonly file: string;
  /** At which the counter begins again, µJ. */
  readonly rangeUj: number;
}

export interface RaplSample {
  readonly atMs: number;
  /** In the order of the zones, µJ. */
  readonly energyUj: readonly number[];
}

/** More than a package takes: a counter that could have begun again twice at this power says nothing. (Zeus assumes the same.) */
const MOST_PACKAGE_W = 1_000;

/**
 * Zones whose energies add up: packages, and the memory beside them. Cores and graphics are parts of a package, `psys` is the whole board and contains
 * them all, and what `intel-rapl-mmio` shows is a package a second time.
 *
 * @returns none where the machine has no RAPL, or hides it, as containers and virtual machines do
 */
export function findZones(root: string): readonly RaplZone[] {
  const folder = path.join(root, 'sys/class/powercap');
  let entries: readonly string[];
  try {
    entries = readdirSync(folder);
  } catch {
    return [];
  }
  const zones: RaplZone[] = [];
  for (const entry of entries.toSorted()) {
    if (!/^intel-rapl:\d+(:\d+)?$/.test(entry)) continue;
    const file = (name: string): string => path.join(folder, entry, name);
    try {
      const name = readFileSync(file('name'), 'utf8').trim();
      if (!/^(package-\d+(-die-\d+)?|dram)$/.test(name)) continue;
      const rangeUj = Number(readFileSync(file('max_energy_range_uj'), 'utf8'));
      if (rangeUj > 0) zones.push({ name, file: file('energy_uj'), rangeUj });
    } catch {
      // A zone that cannot even be named is none.
    }
  }
  return zones.some(({ name }) => name.startsWith('package')) ? zones : [];
}

/** @throws HelioError HELIO-6104 with the command that lets us read, HELIO-6102 */
export function sampleZones(zones: readonly RaplZone[], atMs: number): RaplSample {
  const energyUj = zones.map(({ name, file }) => {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      throw explained(name, error);
    }
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0))
      throw new HelioError('HELIO-6102', `RAPL ${name} says ${JSON.stringify(text.slice(0, 40))}.`, 'It is not used.');
    return value;
  });
  return { atMs, energyUj };
}

export const RAPL_COMMAND = 'sudo chmod -R a+r /sys/class/powercap/intel-rapl*';

function explained(name: string, error: unknown): HelioError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM')
    return new HelioError(
      'HELIO-6104',
      `RAPL ${name} may be read by root alone (${code}).`,
      `Until the next start of the machine: ${RAPL_COMMAND}. For good, as a udev rule: docs/meters.md.`,
      { cause: error },
    );
  return new HelioError('HELIO-6101', `RAPL ${name} cannot be read (${code}).`, 'It is not used.', { cause: error });
}

/**
 * Mean power between two samples, each counter by itself over its end.
 *
 * @returns undefined when so much time has passed that a counter may have begun again more than once
 */
export function powerBetween(zones: readonly RaplZone[], before: RaplSample, after: RaplSample): number | undefined {
  const seconds = (after.atMs - before.atMs) / 1_000;
  if (!(seconds > 0)) return undefined;
  let joules = 0;
  for (const [i, { rangeUj }] of zones.entries()) {
    if (rangeUj / 1e6 < MOST_PACKAGE_W * seconds) return undefined;
    const rise = after.energyUj[i]! - before.energyUj[i]!;
    joules += (rise < 0 ? rise + rangeUj : rise) / 1e6;
  }
  return joules / seconds;
}

/** Whether this machine's counters can be read, in words. `fix`: the command that lets them be. @param root where /sys is */
export function raplFinding(root: string): { readonly found: string; readonly fix?: string } {
  const zones = findZones(root);
  if (zones.length === 0)
    return { found: 'no counters (RAPL) that this system shows: its power is modelled by its load' };
  try {
    sampleZones(zones, 0);
  } catch (error) {
    if (!(error instanceof HelioError)) throw error;
    return { found: error.what, fix: error.code === 'HELIO-6104' ? RAPL_COMMAND : error.remedy };
  }
  return { found: `measured by RAPL: ${zones.map(({ name }) => name).join(', ')}` };
}
