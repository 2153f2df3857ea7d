import pc from 'picocolors';
import { clockTime } from '../../energy/policy/index.ts';
import type { Slot } from './rehearsal.ts';

const LEVELS = ' ▁▂▃▄▅▆▇█';
const ROWS = 4;

/** A day as a terminal shows it: the sun as bars, and below them when it trains. 48 columns and a margin. */
export function dayChart(
  title: string,
  slots: readonly Slot[],
  timeZone: string,
  nowMs: number,
  colorful: boolean,
): readonly string[] {
  const { yellow, green, dim, bold } = pc.createColors(colorful);
  const most = Math.max(500, ...slots.map(({ pvW }) => pvW));
  const rows = Array.from({ length: ROWS }, (_, row) => {
    const floor = (ROWS - 1 - row) / ROWS;
    const bars = slots
      .map(({ pvW }) => LEVELS[Math.max(0, Math.min(8, Math.round(8 * ROWS * (pvW / most - floor))))])
      .join('');
    const label = row === 0 ? `${(most / 1_000).toFixed(1)} kW` : '';
    return `${label.padStart(8)} ${yellow(bars)}`;
  });
  const trains = slots
    .map((slot) => (slot.trains > 0.75 ? '█' : slot.trains > 0.25 ? '▒' : slot.trains > 0 ? '░' : '·'))
    .join('');
  const isNow = (slot: Slot): boolean => nowMs >= slot.fromMs && nowMs < slot.fromMs + 1_800_000;
  const marks = slots.map((slot) => (isNow(slot) ? '▲' : ' ')).join('');
  const hours = slots
    .map(({ fromMs }, i) => (i % 8 === 0 ? clockTime(fromMs, timeZone).padEnd(8) : ''))
    .join('')
    .slice(0, slots.length + 5);
  return [
    bold(title),
    ...rows,
    `${'trains'.padStart(8)} ${green(trains)}`,
    `${' '.repeat(9)}${dim(hours)}`,
    ...(marks.includes('▲') ? [`${' '.repeat(9)}${marks}${dim(' now')}`] : []),
  ];
}
