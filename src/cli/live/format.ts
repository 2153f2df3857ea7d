/** Numbers as people read them. */

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** 0.512 Wh, 21.3 Wh, 1.27 kWh */
export const watthours = (wh: number): string => scaled(wh, ['Wh', 'kWh', 'MWh', 'GWh']);

/** 0.512 gCO2e, 6.06 kgCO2e, 1.2 tCO2e */
export const gramsCO2e = (g: number): string => scaled(g, ['gCO2e', 'kgCO2e', 'tCO2e']);

function scaled(value: number, units: readonly string[]): string {
  let unit = 0;
  let left = value;
  while (Math.abs(left) >= 999.5 && unit < units.length - 1) {
    left /= 1000;
    unit++;
  }
  return `${Number(left.toPrecision(3))} ${units[unit]}`;
}

/** 1234567 → 1,234,567 */
export const integer = (value: number): string => Math.round(value).toLocaleString('en-US');

/** 1 step, 1,200 steps */
export const count = (value: number, noun: string): string => `${integer(value)} ${noun}${value === 1 ? '' : 's'}`;

/** 1240000 → 1.24 M */
export function compact(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)} k`;
  return integer(value);
}

/** island-2 before island-10. */
export const byName = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

export const percent = (share: number): string => `${(100 * share).toFixed(share > 0.995 || share < 0.1 ? 1 : 0)} %`;

const NAMED = 8;
/** Names for a sentence: a few of many. */
export const severalOf = (names: readonly string[]): string =>
  names.length <= NAMED + 1
    ? names.join(', ')
    : `${names.slice(0, NAMED).join(', ')} and ${names.length - NAMED} others`;
