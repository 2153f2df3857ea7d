import type { IslandShare } from '../../coordinator/run-energy.ts';
import { bookLines, qualityShares, sourceShares } from '../energy-words.ts';
import type { ReportedHome } from '../homes.ts';
import { byName, bytes, compact, count, duration, gramsCO2e, integer, percent, watthours } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { escapeHtml, lineChart, type Series } from './chart.ts';
import { homesSection } from './homes-html.ts';
import type { Curves } from './metrics.ts';
import { qualityOf } from './quality.ts';

/** A run as the report shows it; the first is the report's subject, the others stand beside it. */
export interface ReportedRun {
  readonly title: string;
  readonly summary: Summary;
  readonly curves: Curves;
  /** What each island exchanged, where the summary does not say it: a run that only stands for another. */
  readonly exchanged?: string;
  /** Where its islands lived, if in homes. */
  readonly homes?: readonly ReportedHome[];
}

const COLORS = ['#7a4fd0', '#d9822b', '#2b8a6e', '#b83b5e', '#3b6fb8', '#8a7a2b', '#5e5e5e', '#2baab8'];

/** One self-contained page: what was trained, how well, what it cost, and the curves. */
export function reportHtml(runs: readonly ReportedRun[]): string {
  const [{ summary, curves, title, homes }, ...others] = runs as readonly [ReportedRun, ...ReportedRun[]];
  const { validationLoss: loss } = summary;
  const { lossUnit, unit, second } = qualityOf(summary);
  const ratio = summary.bytesPerIslandDataParallel / Math.max(1, summary.bytesPerIsland);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · Heliotrope</title><style>${STYLE}</style></head><body><main>
<header><h1>${escapeHtml(title)}</h1><p>${count(summary.islands, 'island')} trained one model of ${compact(summary.parameters)} parameters for ${integer(summary.steps)} steps, on ${compact(summary.tokens)} ${unit}, in ${duration(summary.wallS)}. Status: <b>${summary.status}</b>.</p></header>
<section class="cards">
${card('Validation loss', number(loss.after, 3), `from ${number(loss.before, 3)} · ${lossUnit}, on held-out data of the run`)}
${second === null ? '' : card(second.name === 'right' ? 'Held-out examples right' : 'Perplexity', second.after, `from ${second.before}`)}
${card('Bytes an island', bytes(summary.bytesPerIsland), `${ratio.toFixed(0)}× fewer than data-parallel`)}
${card('Time computing', percent(summary.computeShare), `waiting ${duration(summary.waitS / Math.max(1, summary.islands))} an island`)}
${card('Energy', watthours(summary.energyWh), `${gramsCO2e(summary.gCO2e)}, ${summary.energyQuality ?? 'assumed'}`)}
</section>
<section>${lineChart(validationCurves(runs), { title: 'Validation loss of the merged model', xLabel: 'inner steps of each island', yLabel: lossUnit, width: 860, height: 340 })}</section>
${homes === undefined ? '' : homesSection(homes)}
${others.length === 0 ? '' : comparison(runs)}
<section>${lineChart(trainingCurves(curves), { title: 'Training loss of each island (averaged over 10 steps)', xLabel: 'inner steps', yLabel: lossUnit, width: 860, height: 300 })}</section>
<section><h2>Where the time went</h2>${timeTable(summary)}</section>
<section><h2>What travelled</h2>${trafficTable(summary)}<p class="note">${escapeHtml(summary.bytesMethod)}.</p></section>
${summary.samples === null ? '' : samples(summary.samples)}
<section><h2>Energy</h2><p>${watthours(summary.energyWh)}, ${escapeHtml(summary.energyMethod)}.<br>${gramsCO2e(summary.gCO2e)}, ${escapeHtml(summary.carbonMethod)}.</p>${energyTable(summary)}</section>
<footer>Made by Heliotrope on ${escapeHtml(summary.startedAt.slice(0, 10))}. Numbers: summary.json and metrics.jsonl beside this file.</footer>
</main></body></html>
`;
}

const number = (value: number | null, digits: number): string => (value === null ? '–' : value.toFixed(digits));

const card = (name: string, value: string, detail: string): string =>
  `<div class="card"><h3>${name}</h3><strong>${value}</strong><span>${detail}</span></div>`;

function validationCurves(runs: readonly ReportedRun[]): readonly Series[] {
  return runs.map(({ title, curves }, i) => ({
    name: title,
    color: COLORS[i % COLORS.length]!,
    dots: i === 0,
    dashed: i > 0,
    points: curves.validation,
  }));
}

function trainingCurves({ training }: Curves): readonly Series[] {
  return [...training]
    .toSorted(([a], [b]) => byName(a, b))
    .map(([name, points], i) => ({
      name,
      color: COLORS[i % COLORS.length]!,
      points: smooth(points),
    }));
}

const WINDOW = 10;

function smooth(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  return points.flatMap(([step], i) => {
    const window = points.slice(Math.max(0, i - WINDOW + 1), i + 1);
    return i % 2 === 0 ? [[step, window.reduce((sum, [, loss]) => sum + loss, 0) / window.length] as const] : [];
  });
}

function comparison(runs: readonly ReportedRun[]): string {
  const rows = runs.map(({ title, summary: s, exchanged }) =>
    row([
      escapeHtml(title),
      number(s.validationLoss.after, 4),
      qualityOf(s).second?.after ?? '–',
      integer(s.tokens),
      exchanged ?? bytes(s.bytesPerIsland),
      duration(s.wallS),
    ]),
  );
  return `<section><h2>Beside each other, at ${integer(runs[0]!.summary.steps)} steps</h2>${table(['run', 'validation loss', 'perplexity', 'tokens', 'exchanged an island', 'time'], rows)}<p class="note">The synchronous run is one process with the batches of all islands together: the result that an all-reduce at every step would give. One island alone sees the whole text, and as many tokens as one of the islands.</p></section>`;
}

function timeTable(summary: Summary): string {
  const { islandDetails } = summary;
  const rows = islandDetails.map((d) => {
    const total = Math.max(1e-9, d.computeS + d.waitS + d.exchangeS + d.evaluateS);
    const part = (seconds: number, kind: string): string =>
      `<i class="${kind}" style="width:${((100 * seconds) / total).toFixed(2)}%"></i>`;
    const bar = `<div class="bar">${part(d.computeS, 'compute')}${part(d.evaluateS, 'evaluate')}${part(d.exchangeS, 'exchange')}${part(d.waitS, 'wait')}</div>`;
    return row([
      escapeHtml(d.island),
      integer(d.steps),
      integer(d.tokens),
      duration(d.computeS),
      duration(d.waitS),
      duration(d.exchangeS),
      duration(d.evaluateS),
      bytes(d.peakMemoryBytes),
      bar,
    ]);
  });
  return table(
    ['island', 'steps', qualityOf(summary).unit, 'computing', 'waiting', 'exchanging', 'validating', 'peak memory', ''],
    rows,
  );
}

function trafficTable({ islandDetails, bytesPerIslandDataParallel }: Summary): string {
  const rows = islandDetails.map((d) =>
    row([escapeHtml(d.island), bytes(d.sentBytes), bytes(d.receivedBytes), `${d.joins}`]),
  );
  rows.push(
    row([
      '<em>data-parallel, each</em>',
      bytes(bytesPerIslandDataParallel / 2),
      bytes(bytesPerIslandDataParallel / 2),
      '',
    ]),
  );
  return table(['island', 'sent', 'received', 'times joined'], rows);
}

/** Of a run in which somebody keeps books. */
function energyTable({ energy, islandDetails }: Summary): string {
  if (energy === undefined || energy.withBooks === 0) return '';
  const rows = islandDetails.flatMap(({ island, energy: e }) =>
    e === undefined || e.totalWh === 0 ? [] : [energyRow(escapeHtml(island), e)],
  );
  const { coordinatorWh, networkWh } = energy.parts;
  rows.push(row(['<em>coordinator</em>', watthours(coordinatorWh), '', '', 'assumed']));
  if (networkWh > 0) rows.push(row(['<em>network</em>', watthours(networkWh), '', '', 'assumed']));
  rows.push(energyRow('<b>the run</b>', energy));
  const heads = ['', 'energy', 'by source', 'gCO₂e by source · counterfactual', 'by method'];
  const refused = islandDetails.filter(({ energy: e }) => (e?.refused ?? null) !== null);
  const notes = [
    ...bookLines(energy),
    ...refused.map(({ island, energy: e }) => `${island}: its last claim is not counted, ${e!.refused}`),
  ];
  return `${table(heads, rows)}<p class="note">${notes.map(escapeHtml).join('<br>')}</p>`;
}

const energyRow = (name: string, e: Omit<IslandShare, 'coveredS' | 'refused'>): string =>
  row([
    name,
    watthours(e.totalWh),
    sourceShares(e),
    `${Number(e.attributionalG.toPrecision(3))} · ${Number(e.counterfactualG.toPrecision(3))}`,
    qualityShares(e),
  ]);

const row = (cells: readonly string[]): string => `<tr>${cells.map((c) => `<td>${c}</td>`).join('')}</tr>`;

const table = (heads: readonly string[], rows: readonly string[]): string =>
  `<div class="scroll"><table><thead><tr>${heads.map((h) => `<th>${h}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;

function samples({ before, after }: NonNullable<Summary['samples']>): string {
  const block = (name: string, text: string): string => `<div><h3>${name}</h3><pre>${escapeHtml(text)}</pre></div>`;
  return `<section><h2>What it writes</h2><div class="samples">${block('Before', before)}${block('After', after)}</div></section>`;
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1f1b2d;--dim:#6b6680;--line:#e4e0ee;--paper:#fbfaff;--card:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#ece9f5;--dim:#a29cb8;--line:#37324a;--paper:#16131f;--card:#1f1b2d}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:920px;margin:0 auto;padding:32px 20px 60px}h1{font-size:30px;margin:0 0 4px}h2{font-size:18px;margin:0 0 10px}
header p{color:var(--dim);margin:0 0 20px}section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:16px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;background:none;border:0;padding:0}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}.card h3{font-size:12px;font-weight:600;color:var(--dim);margin:0;text-transform:uppercase;letter-spacing:.04em}
.card strong{display:block;font-size:25px;margin:2px 0}.card span,.note,footer{color:var(--dim);font-size:13px}
svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--dim)}svg .title{font-size:15px;font-weight:600;fill:var(--ink)}svg .grid{stroke:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--dim);padding-left:58px}.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}
table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:left;color:var(--dim);font-weight:600;font-size:12px}td,th{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);white-space:nowrap}.scroll{overflow-x:auto}
.bar{display:flex;width:120px;height:10px;border-radius:5px;overflow:hidden;background:var(--line)}.bar i{display:block}.compute{background:#2b8a6e}.evaluate{background:#3b6fb8}.exchange{background:#d9822b}.wait{background:#b83b5e}
.samples{display:grid;grid-template-columns:1fr 1fr;gap:16px}@media(max-width:640px){.samples{grid-template-columns:1fr}}
.samples h3{margin:0 0 4px;font-size:13px;color:var(--dim)}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font:13px/1.5 ui-monospace,monospace}`;
