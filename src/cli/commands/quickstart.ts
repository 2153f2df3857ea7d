import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { writeWhole } from '../../files.ts';
import { type CommandContext, colorful, PACKAGE_FOLDER, print, printJson, stopSignal, tell } from '../context.ts';
import { bytes } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { readCurves } from '../report/metrics.ts';
import { qualityOf } from '../report/quality.ts';
import { type ReportedRun, reportHtml } from '../report/report-html.ts';
import { reportLines } from '../report/report-terminal.ts';
import { exitStatusOf, trainLocally } from './train.ts';

/** Runs that `--compare` draws beside the quickstart, and what the report calls them. */
const BESIDE = [
  { file: 'quickstart-alone.yaml', title: 'one island alone', exchanged: () => 'nothing' },
  {
    file: 'quickstart-synchronous.yaml',
    title: 'synchronous data-parallel',
    exchanged: (s: Summary) => `${bytes(s.bytesPerIslandDataParallel)}, calculated`,
  },
];

export interface QuickstartOptions {
  readonly compare?: boolean;
  readonly sun?: boolean;
}

/** Trains the example model on six novels across four islands; with `compare`, two others beside it. */
export async function quickstart(options: QuickstartOptions, context: CommandContext): Promise<number> {
  const example = (file: string): string => path.join(PACKAGE_FOLDER, 'examples', file);
  const signal = stopSignal();
  const show = (folder: string): string => path.relative('', folder) || '.';
  if (options.sun === true && options.compare === true)
    throw new HelioError('HELIO-1006', '--sun and --compare are both given.', 'Give one of them.');
  const { summary, folder } =
    options.sun === true
      ? await trainLocally(example('quickstart-sun.yaml'), { homes: example('homes.yaml') }, context, signal)
      : await trainLocally(example('quickstart.yaml'), {}, context, signal);
  const runs: ReportedRun[] = [{ title: 'quickstart', summary, curves: await readCurves(folder) }];
  if (!context.json) for (const line of reportLines(summary, show(folder), colorful(context.environment))) print(line);
  for (const { file, title, exchanged } of options.compare === true ? BESIDE : []) {
    if (signal.aborted || summary.status !== 'finished') break;
    tell(`\nBeside it: ${title}`);
    const other = await trainLocally(example(file), {}, context, signal);
    runs.push({ title, summary: other.summary, curves: await readCurves(other.folder), exchanged: exchanged(summary) });
  }
  if (runs.length > 1) writeWhole(path.join(folder, 'report.html'), reportHtml(runs));
  if (context.json)
    printJson(runs.length === 1 ? { ...summary, folder } : runs.map((r) => ({ title: r.title, ...r.summary })));
  else if (runs.length > 1) printComparison(runs, show(folder));
  return exitStatusOf(summary);
}

function printComparison(runs: readonly ReportedRun[], folder: string): void {
  print('\nBeside each other, at the same number of steps:');
  for (const { title, summary } of runs) {
    const { validationLoss: loss, tokens } = summary;
    print(
      `  ${title.padEnd(28)}validation loss ${loss.after?.toFixed(4)}  perplexity ${qualityOf(summary).second?.after}  ${tokens.toLocaleString('en-US')} tokens`,
    );
  }
  print(`  drawn in ${path.join(folder, 'report.html')}`);
}
