import path from 'node:path';
import { totalOf } from '../energy/accounting/index.ts';
import { writeWhole } from '../files.ts';
import type { HomeTotals } from '../simulate/home-records.ts';
import { parseSpeed, type SiteClock, siteMs, writeClock } from '../simulate/site-clock.ts';
import { type CommandContext, colorful } from './context.ts';
import { readHomes, reportedHomes } from './homes.ts';
import { watthours } from './live/format.ts';
import { HomesView } from './live/homes-view.ts';
import type { Summary } from './records.ts';
import { readCurves } from './report/metrics.ts';
import { reportHtml } from './report/report-html.ts';

/** Homes train one at a time as the sun goes around: each has the whole machine when it is its turn, or shares it with few. */
const THREADS = 1;
const DEFAULT_SPEED = '1440x';

/** The islands of a run as simulated homes: how they are started, what is seen of them, and what is said of them at the end. */
export function livingHomes(
  options: { readonly homes?: string; readonly speed?: string },
  { environment }: CommandContext,
) {
  const file = path.resolve(options.homes!);
  const homes = readHomes(file);
  const clock: SiteClock = {
    realStartMs: Date.now(),
    siteStartMs: homes.fromMs,
    speed: parseSpeed(options.speed ?? DEFAULT_SPEED),
  };
  let folder: string | undefined;
  return {
    islands: homes.homes.length,
    threads: THREADS,
    homes: homes.homes.map(({ name }) => ({
      name,
      joinArguments: ['--simulated-home', `${file}#${name}`, '--site-clock', writeClock(clock)],
    })),
    view: new HomesView(homes, clock, () => folder, colorful(environment)),
    begins(of: string): void {
      folder = of;
    },
    /** Adds the homes to the run's summary and report. */
    async summarized({
      summary,
      folder: of,
    }: {
      readonly summary: Summary;
      readonly folder: string;
    }): Promise<Summary> {
      const reported = reportedHomes(of, homes);
      const totals = reported.map(({ totals: each }) => each);
      const sum = (of: (home: HomeTotals) => number): number => totals.reduce((total, each) => total + of(each), 0);
      const wh = sum(({ computeWh }) => totalOf(computeWh));
      const debtWh = sum(({ storedDebtWh }) => storedDebtWh);
      const still = Math.abs(debtWh) < 1 ? '' : `, and batteries hold ${watthours(debtWh)} less than without training`;
      const { energy: _, ...rest } = summary;
      const whole: Summary = {
        ...rest,
        homes: totals,
        energyWh: wh,
        energyMethod: `simulated homes: ${watthours(wh)} in ${((siteMs(clock, Date.now()) - clock.siteStartMs) / 3_600_000).toFixed(0)} hours of their clock; this machine itself: ${summary.energyMethod}`,
        energyQuality: 'assumed',
        gCO2e: sum(({ attributionalG }) => attributionalG),
        carbonMethod: `each watt-hour by its source, in simulated homes; counterfactual ${sum(({ counterfactualG }) => counterfactualG).toFixed(0)} g${still} (docs/guides/follow-the-sun.md)`,
      };
      writeWhole(path.join(of, 'summary.json'), `${JSON.stringify(whole, null, 2)}\n`);
      const curves = await readCurves(of);
      writeWhole(
        path.join(of, 'report.html'),
        reportHtml([{ title: summary.name, summary: whole, curves, homes: reported }]),
      );
      return whole;
    },
  };
}
