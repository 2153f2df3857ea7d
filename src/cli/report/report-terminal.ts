import path from 'node:path';
import pc from 'picocolors';
import type { HomeTotals } from '../../simulate/home-records.ts';
import { bookLines } from '../energy-words.ts';
import { bytes, compact, count, duration, gramsCO2e, integer, percent, watthours } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { sanitized } from '../terminal-text.ts';
import { qualityOf, risenSince } from './quality.ts';

/** The report at the end of a run, as lines for a terminal. */
export function reportLines(s: Summary, folder: string, colorful: boolean): readonly string[] {
  const { bold, dim, green } = pc.createColors(colorful);
  const ratio = s.bytesPerIslandDataParallel / Math.max(1, s.bytesPerIsland);
  const an = (total: number): string => duration(total / Math.max(1, s.islands));
  const fact = (name: string, text: string): string => `  ${dim(name.padEnd(18))}${text}`;
  const change = (before: string, after: string): string => `${before} → ${bold(after)}`;
  const loss = (value: number | null): string => value?.toFixed(4) ?? '–';
  const { lossUnit, unit, second } = qualityOf(s);
  const risen = risenSince(s);
  return [
    '',
    bold(sanitized(`${s.name}: ${s.status}`)) +
      dim(
        ` · ${count(s.islands, 'island')} · ${compact(s.parameters)} parameters · ${integer(s.steps)} steps · ${compact(s.tokens)} ${unit} · ${duration(s.wallS)}`,
      ),
    '',
    fact(
      'validation loss',
      `${change(loss(s.validationLoss.before), loss(s.validationLoss.after))} ${lossUnit}, on held-out data of the run`,
    ),
    ...(risen === null ? [] : [fact('', risen)]),
    ...(second === null ? [] : [fact(second.name, change(second.before, second.after))]),
    ...(s.skippedSteps === 0
      ? []
      : [fact('skipped', `${integer(s.skippedSteps)} steps whose gradient was not finite; see docs/models.md`)]),
    fact(
      'exchanged',
      `${bold(bytes(s.bytesPerIsland))} an island; per-step data-parallel: ${bytes(s.bytesPerIslandDataParallel)} (${ratio.toFixed(0)}× more)`,
    ),
    fact(
      'an island’s time',
      `${bold(percent(s.computeShare))} computing: ${an(s.computeS)} computing, ${an(s.waitS)} waiting, ${an(s.exchangeS)} exchanging, ${an(s.evaluateS)} validating`,
    ),
    fact(
      'energy',
      `${bold(watthours(s.energyWh))}, ${gramsCO2e(s.gCO2e)}${s.energyQuality === undefined ? '' : `, ${s.energyQuality}`}`,
    ),
    fact('', dim(sanitized(s.energyMethod))),
    ...(s.energy === undefined ? [] : bookLines(s.energy).map((line) => fact('', line))),
    ...(s.homes ?? []).map((home, i) => fact(i === 0 ? 'homes' : '', homeLine(home))),
    ...(s.samples === null
      ? []
      : ['', fact('before', quote(s.samples.before)), fact('after', green(quote(s.samples.after)))]),
    '',
    fact('model, report', `${folder}${path.sep}`),
    fact('look at it', path.join(folder, 'report.html')),
    fact('try it', `heliotrope ${s.perplexity === null ? 'eval' : 'sample'} ${path.basename(folder)}`),
  ];
}

function homeLine({ home, trainedHours, hours, computeWh, counterfactualG }: HomeTotals): string {
  const { pv, battery, grid } = computeWh;
  const share = (wh: number): string => percent(wh / Math.max(1e-9, pv + battery + grid));
  const energy = watthours(pv + battery + grid);
  return `${home.padEnd(12)} trained ${trainedHours.toFixed(1)} of ${hours.toFixed(1)} h, ${energy}: sun ${share(pv)}, battery ${share(battery)}, grid ${share(grid)}; ${gramsCO2e(counterfactualG)} counterfactual`;
}

const quote = (text: string): string => `“${sanitized(text.trim(), MOST_QUOTED).replace(/\s+/g, ' ')}”`;

/** Of what a model wrote. */
const MOST_QUOTED = 2_000;
