import { FORECAST_ERRORS, forecastFrom, syntheticGrid, zoneOf } from '../../src/energy/grid/index.ts';
import { type Expected, planRun } from '../../src/energy/schedule/index.ts';
import { HOUR_MS, type Series, valueAt } from '../../src/energy/series.ts';
import type { Figure } from '../figures.ts';
import type { Section } from './section.ts';

/** As curtail-llm has it (Wiesner et al. 2026, arXiv 2602.22760): three sites, of which each trains while its marginal intensity is below a threshold. */
const ZONES = ['US-CAL-CISO', 'US-TEX-ERCO', 'AU-VIC'];
const THRESHOLD_G = 100;
const SITE_W = 200;
const SITE_HOURS = 40;
const TOKENS_PER_WH = 1_000;
/** A run begins in each month. */
const STARTS = 12;
const DAYS = 365;
const FORECAST_HOURS = 48;
const SEED = 11;
/** A deadline of people who do not wait for spring. */
const SOON_DAYS = 7;
const NOTE = `${SITE_HOURS} hours of a site with ${SITE_W} W, mean of runs that begin in each month`;

interface Outcome {
  readonly grams: number;
  readonly hours: number;
  /** Of energy, used while it was below the threshold. */
  readonly inside: number;
}

/** In each hour, how much of it each site trains, 0 to 1. */
type Rule = (nowMs: number, left: number) => readonly number[];

/** The same work by their rule, by ours with the same end, and always on in one place. Hours, and a marginal intensity that nobody measured: both rules see the same. */
export const curtail: Section = {
  id: 'curtail',
  figures: async ({ short }) => {
    const starts = Array.from({ length: short ? 2 : STARTS }, (_, month) => Date.UTC(2025, month, 1));
    const runs = starts.map((startMs) => {
      const toMs = startMs + DAYS * 24 * HOUR_MS;
      const grids = ZONES.map((zone) => syntheticGrid(zoneOf(zone)!, SEED, startMs, toMs).marginalG);
      const theirs = run(grids, startMs, (nowMs) => grids.map((g) => (valueAt(g, nowMs) < THRESHOLD_G ? 1 : 0)));
      const deadlineMs = startMs + theirs.hours * HOUR_MS;
      const soonMs = startMs + SOON_DAYS * 24 * HOUR_MS;
      return {
        theirs,
        ours: run(grids, startMs, planned(grids, deadlineMs, THRESHOLD_G)),
        soon: run(grids, startMs, planned(grids, soonMs)),
        foresight: foresight(grids, SOON_DAYS * 24),
        places: grids.map((grid) =>
          run(
            grids.map(() => grid),
            startMs,
            () => [1, 1, 1],
          ),
        ),
      };
    });
    const mean = (of: (each: (typeof runs)[number]) => number): number =>
      runs.reduce((sum, each) => sum + of(each), 0) / runs.length;
    const figure = (
      id: string,
      value: number,
      unit: string,
      note: string,
      target: string | null = null,
      met: boolean | null = null,
    ): Figure => ({
      id: `energy.curtail.${id}`,
      value,
      unit,
      target,
      met,
      note,
    });
    const grams = (of: (each: (typeof runs)[number]) => Outcome): number => mean((each) => of(each).grams);
    const [theirs, ours, soon] = [grams((each) => each.theirs), grams((each) => each.ours), grams((each) => each.soon)];
    const best = mean(({ places }) => Math.min(...places.map((place) => place.grams)));
    const time = mean((each) => each.ours.hours / each.theirs.hours);
    const over = soon / mean((each) => each.foresight);
    const alwaysOn = 'of always on in the best of the three places';
    return [
      figure('threshold.emissions', theirs, 'g', `their rule: below ${THRESHOLD_G} g/kWh; ${NOTE}`),
      figure(
        'threshold.days',
        mean((each) => each.theirs.hours / 24),
        'd',
        'until its end',
      ),
      figure('threshold.share', (100 * theirs) / best, '%', alwaysOn),
      figure('ours.emissions', ours, 'g', 'maxIntensityGPerKWh of the sites, and a plan with that end as deadline'),
      figure('ours.over-threshold', ours / theirs, '×', 'emissions', '≤ 1 ×', ours <= theirs * (1 + 1e-9)),
      figure('ours.time', time, '×', 'until its end, over theirs: hours just below the threshold are passed over'),
      figure('soon.emissions', soon, 'g', `a plan alone, done in ${SOON_DAYS} days`),
      figure('soon.share', (100 * soon) / best, '%', alwaysOn),
      figure(
        'soon.over-foresight',
        over,
        '×',
        'of the cleanest hours, by forecasts that are as wrong as measured ones',
      ),
    ];
  },
};

function run(grids: readonly Series[], startMs: number, rule: Rule): Outcome {
  let [left, grams, inside, hours] = [SITE_HOURS, 0, 0, 0];
  for (; left > 1e-9; hours++) {
    const nowMs = startMs + hours * HOUR_MS;
    if (hours >= DAYS * 24) throw new Error(`After ${DAYS} days ${left.toFixed(1)} hours are left.`);
    const shares = rule(nowMs, left);
    const wanted = shares.reduce((a, b) => a + b, 0);
    // The last hour is not used whole.
    const used = Math.min(1, left / Math.max(1e-12, wanted));
    for (const [site, share] of shares.entries()) {
      const g = valueAt(grids[site]!, nowMs);
      grams += (used * share * SITE_W * g) / 1000;
      if (g < THRESHOLD_G) inside += used * share;
    }
    left -= used * wanted;
  }
  return { grams, hours, inside: inside / SITE_HOURS };
}

/**
 * What the coordinator would tell its islands, from what they forecast.
 *
 * @param limitG what their owners' rules let them take from the grid (`maxIntensityGPerKWh`)
 */
function planned(grids: readonly Series[], deadlineMs: number, limitG = Number.POSITIVE_INFINITY): Rule {
  return (nowMs, left) => {
    const expected = grids.map((grid, site): Expected => {
      const said = forecastFrom(grid, {
        issuedMs: nowMs,
        hours: FORECAST_HOURS,
        error: FORECAST_ERRORS.intensity,
        seed: SEED + site,
      });
      // The present hour is known.
      const intensityGPerKWh = [valueAt(grid, nowMs), ...said.mid.values.subarray(1)];
      const nothing = intensityGPerKWh.map(() => 0);
      return {
        island: ZONES[site]!,
        tokensPerWh: TOKENS_PER_WH,
        forecast: {
          startS: nowMs / 1000,
          sunW: { low: nothing, mid: nothing, high: nothing },
          gridW: intensityGPerKWh.map((g) => (g < limitG ? SITE_W : 0)),
          intensityGPerKWh,
          pricePerKWh: nothing.map(() => null),
          mostW: SITE_W,
          tokensPerWh: TOKENS_PER_WH,
        },
      };
    });
    const tokensLeft = left * SITE_W * TOKENS_PER_WH;
    const plan = planRun({ tokensLeft, deadlineMs, objective: 'carbon', trust: 'mid' }, expected, nowMs);
    // Without a plan each keeps to its owner's rules.
    return expected.map(({ forecast }, site) =>
      plan.rule === null ? plan.islands[site]!.gridWh[0]! / SITE_W : forecast.gridW[0]! > 0 ? 1 : 0,
    );
  };
}

/** Grams of the cleanest hours of all places, known beforehand. */
function foresight(grids: readonly Series[], hours: number): number {
  const cleanest = grids.flatMap(({ values }) => [...values.subarray(0, hours)]).sort((a, b) => a - b);
  return cleanest.slice(0, SITE_HOURS).reduce((sum, g) => sum + (SITE_W * g) / 1000, 0);
}
