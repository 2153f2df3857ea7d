import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What Linux says of a machine's mains and battery (kernel documentation, ABI/testing/sysfs-class-power). */
export interface PowerSupply {
  /** undefined where nothing says it, as on most desktops. */
  readonly mains: boolean | undefined;
  /** Of all its batteries together, %. */
  readonly chargePercent: number | undefined;
  /** What the whole machine takes from its batteries while it runs on them, W. */
  readonly dischargeW: number | undefined;
}

const MOST_SUPPLIES = 32;

export function readPowerSupply(root: string): PowerSupply {
  const folder = path.join(root, 'sys/class/power_supply');
  let entries: readonly string[];
  try {
    entries = readdirSync(folder).slice(0, MOST_SUPPLIES);
  } catch {
    return { mains: undefined, chargePercent: undefined, dischargeW: undefined };
  }
  const read = (entry: string, name: string): string | undefined => {
    try {
      return readFileSync(path.join(folder, entry, name), 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const number = (entry: string, name: string): number | undefined => {
    const text = read(entry, name);
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  };
  let mains: boolean | undefined;
  const charges: number[] = [];
  let dischargeW: number | undefined;
  let unknown = false;
  for (const entry of entries) {
    const type = read(entry, 'type');
    // A mouse or a headset has a battery, too.
    if (read(entry, 'scope') === 'Device') continue;
    if (type === 'Mains' || type === 'USB') {
      const online = number(entry, 'online');
      if (online !== undefined) mains = (mains ?? false) || online > 0;
    } else if (type === 'Battery' || type === 'UPS') {
      const charge = number(entry, 'capacity');
      if (charge !== undefined && charge >= 0 && charge <= 100) charges.push(charge);
      if (read(entry, 'status') !== 'Discharging') continue;
      const watts = batteryWatts((name) => number(entry, name));
      if (watts === undefined) unknown = true;
      else dischargeW = (dischargeW ?? 0) + watts;
    }
  }
  return {
    mains,
    chargePercent: charges.length === 0 ? undefined : charges.reduce((sum, c) => sum + c, 0) / charges.length,
    // Half of what is known would be too little.
    dischargeW: unknown ? undefined : dischargeW,
  };
}

/** µW, or µA × µV; some say a discharge as negative. */
function batteryWatts(number: (name: string) => number | undefined): number | undefined {
  const power = number('power_now');
  if (power !== undefined) return Math.abs(power) / 1e6;
  const current = number('current_now');
  const voltage = number('voltage_now');
  return current === undefined || voltage === undefined ? undefined : (Math.abs(current) / 1e6) * (voltage / 1e6);
}
