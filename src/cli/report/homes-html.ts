import { totalOf } from '../../energy/accounting/index.ts';
import { clockTime } from '../../energy/policy/index.ts';
import type { HomeRecord } from '../../simulate/home-records.ts';
import type { ReportedHome } from '../homes.ts';
import { gramsCO2e, watthours } from '../live/format.ts';
import { escapeHtml } from './chart.ts';

/** The homes of a run: a day curve each, and what their training took and cost. */
export function homesSection(homes: readonly ReportedHome[]): string {
  if (homes.every(({ records }) => records.length === 0)) return '';
  const rows = homes.map(({ totals: t }) => {
    const { unallocated } = t.computeWh;
    const cells = [
      escapeHtml(t.home),
      `${t.trainedHours.toFixed(1)} of ${t.hours.toFixed(1)} h`,
      `${t.starts}`,
      watthours(totalOf(t.computeWh)),
      watthours(t.computeWh.pv),
      watthours(t.computeWh.battery),
      `${watthours(t.computeWh.grid)}${unallocated < 1 ? '' : ` and ${watthours(unallocated)} unallocated`}`,
      gramsCO2e(t.attributionalG),
      gramsCO2e(t.counterfactualG),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const heads = ['home', 'trained', 'starts', 'energy', 'of the sun', 'battery', 'grid', 'by source', 'counterfactual'];
  return `<section><h2>Homes</h2>
<p>The homes, their sun and their hours are simulated; the training is real. <b>By source</b>: each watt-hour by where it came from, with the lifecycle of the panels (41 g/kWh). <b>Counterfactual</b>: the carbon of what each home took from the grid beyond what it would have taken without training.</p>
<div class="scroll"><table><thead><tr>${heads.map((h) => `<th>${h}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>
${homes.map(dayCurve).join('\n')}
<div class="legend">${LEGEND.map(([name, color]) => `<span><i style="background:${color}"></i>${name}</span>`).join('')}</div></section>`;
}

const PV = '#e0a526';
const BATTERY = '#2b8a6e';
const GRID = '#b83b5e';
const CHARGE = '#3b6fb8';
const LOAD = '#8b86a0';
const CARBON = '#5b5866';
const LEGEND = [
  ['panels', PV],
  ['household', LOAD],
  ['training by the sun', '#7a4fd0'],
  ['training by the battery', BATTERY],
  ['training by the grid', GRID],
  ['charge of the battery', CHARGE],
  ['carbon intensity of the grid', CARBON],
] as const;

const WIDTH = 860;
const HEIGHT = 168;
const LEFT = 96;
const TOP = 40;
const BOTTOM = 24;
const MOST_TICKS = 12;
const EVERY_HOURS = [1, 3, 6, 12, 24, 48, 96, 240];

function dayCurve({ totals, records, timeZone }: ReportedHome): string {
  if (records.length < 2) return '';
  const first = records[0]!.fromMs;
  const last = records.at(-1)!.toMs;
  const most = Math.max(500, ...records.map(({ pvW, loadW }) => Math.max(pvW, loadW)));
  const x = (ms: number): number => LEFT + ((ms - first) / (last - first)) * (WIDTH - LEFT - 10);
  const y = (powerW: number): number => HEIGHT - BOTTOM - (powerW / most) * (HEIGHT - TOP - BOTTOM);
  const middle = ({ fromMs, toMs }: HomeRecord): number => (fromMs + toMs) / 2;
  const line = (of: (record: HomeRecord) => number): string =>
    records.map((r, i) => `${i === 0 ? 'M' : 'L'}${x(middle(r)).toFixed(1)} ${y(of(r)).toFixed(1)}`).join('');
  const area = `${line(({ pvW }) => pvW)}L${x(middle(records.at(-1)!)).toFixed(1)} ${y(0)}L${x(middle(records[0]!)).toFixed(1)} ${y(0)}Z`;
  const bars = records.flatMap((r) => {
    const hours = (r.toMs - r.fromMs) / 3_600_000;
    let below = 0;
    return (
      [
        ['pv', '#7a4fd0'],
        ['battery', BATTERY],
        ['grid', GRID],
      ] as const
    ).flatMap(([source, color]) => {
      const powerW = r.computeWh[source] / hours;
      if (powerW < 1) return [];
      const [top, base] = [y(below + powerW), y(below)];
      below += powerW;
      return [
        `<rect x="${x(r.fromMs).toFixed(1)}" y="${top.toFixed(1)}" width="${Math.max(0.5, x(r.toMs) - x(r.fromMs)).toFixed(1)}" height="${(base - top).toFixed(1)}" fill="${color}"/>`,
      ];
    });
  });
  const charge = records.some(({ batteryPercent }) => batteryPercent !== null)
    ? `<path d="${line((r) => ((r.batteryPercent ?? 0) / 100) * most)}" fill="none" stroke="${CHARGE}" stroke-width="1.4" stroke-dasharray="4 3"/>`
    : '';
  const grams = records.map(({ intensityGPerKWh }) => intensityGPerKWh ?? Number.NaN);
  const [leastG, mostG] = [Math.min(...grams), Math.max(...grams)];
  // One that never changes says nothing as a line.
  const carbon =
    mostG - leastG >= 1
      ? `<path d="${line((r) => (most * r.intensityGPerKWh!) / mostG)}" fill="none" stroke="${CARBON}" stroke-width="1" stroke-dasharray="1.5 2.5"/>`
      : '';
  const ofGrid = mostG - leastG >= 1 ? `grid ${leastG.toFixed(0)} to ${mostG.toFixed(0)} g/kWh` : '';
  const hourMs = 3_600_000;
  const ticks: string[] = [];
  // A dozen of them at most: a run may take days.
  const everyMs = hourMs * (EVERY_HOURS.find((hours) => (last - first) / (hours * hourMs) <= MOST_TICKS) ?? 720);
  for (let ms = Math.ceil(first / everyMs) * everyMs; ms <= last; ms += everyMs)
    ticks.push(
      `<text x="${x(ms).toFixed(1)}" y="${HEIGHT - 6}" text-anchor="middle">${clockTime(ms, timeZone)}</text>`,
    );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(totals.home)}: panels, household, training and battery over the run">
<text x="0" y="16" class="title">${escapeHtml(totals.home)}</text><text x="${WIDTH - 10}" y="16" text-anchor="end">${ofGrid}</text>
<text x="${LEFT - 6}" y="${y(most) + 4}" text-anchor="end">${(most / 1_000).toFixed(1)} kW</text><text x="${LEFT - 6}" y="${y(0) + 4}" text-anchor="end">0</text>
<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${y(0)}" y2="${y(0)}" class="grid"/>
<path d="${area}" fill="${PV}" opacity="0.22"/><path d="${line(({ pvW }) => pvW)}" fill="none" stroke="${PV}" stroke-width="1.6"/>
${bars.join('')}
<path d="${line(({ loadW }) => loadW)}" fill="none" stroke="${LOAD}" stroke-width="1.2"/>${charge}${carbon}
${ticks.join('')}</svg>`;
}
