import { drawnWh, NO_TOTALS } from '../energy/accounting/index.ts';
import type { EnergyTotals } from '../protocol/energy.ts';
import type { EnergyAccount, EnergyClaim, Refusal } from './energy-state.ts';

/**
 * What is believed of the energy that islands claim (docs/energy-accounting.md). A claim that cannot be is refused by a rule that has a name. Within the rules it stays a
 * claim: nobody sees the meter of another.
 */

/** Accounts of one island: its files may be lost a few times. */
const MOST_ACCOUNTS = 8;
/** What one machine can draw, W: a rack of accelerators; a browser's tab; a cluster. */
const MOST_W = { process: 20_000, tab: 2_000, cluster: 10_000_000 } as const;
/** What a home's wires carry beside its machine: the difference that training makes to them can be no larger. */
const MOST_HOME_W = 200_000;
/** Clocks differ, and meters are read a little early or late. */
const SLACK_SHARE = 0.05;
const SLACK_S = 900;
/** The dirtiest plants are below 1,500 g/kWh; losses of a battery are on top. */
const MOST_G_PER_WH = 10;
/** Nothing trains so fast. */
const MOST_TOKENS_PER_S = 1e8;
const MOST_PRICE_PER_WH = 1_000;
/** No machine is worth more grams a second: a hundred tonnes in a year. */
const MOST_EMBODIED_G_PER_S = 4;

interface Known {
  /** Of the same account; undefined for a new one. */
  readonly before: EnergyTotals | undefined;
  readonly accounts: readonly EnergyAccount[];
  readonly sinceS: number | undefined;
}

/** The rules, in the order in which they are looked at. docs/energy-accounting.md */
export function refusalOf({ before = NO_TOTALS, accounts, sinceS }: Known, claim: EnergyClaim): Refusal | null {
  const { account, totals, host, atS } = claim;
  const refused = (rule: Refusal['rule'], reason: string): Refusal => ({ rule, reason });
  if (accounts.length >= MOST_ACCOUNTS && !accounts.some((each) => each.account === account))
    return refused('accounts', `it has begun more than ${MOST_ACCOUNTS} accounts.`);
  const less = shrunk(before, totals);
  if (less !== undefined) return refused('backwards', `its ${less} is less than it was, and sums only grow.`);
  const seconds = totals.coveredS - before.coveredS;
  const hours = (seconds / 3600) * (1 + SLACK_SHARE);
  const wh = drawnWh(totals) - drawnWh(before);
  const mostWh = MOST_W[host] * hours;
  if (wh > mostWh)
    return refused('power', `${wh.toFixed(0)} Wh in ${seconds.toFixed(0)} s is more than ${MOST_W[host]} W.`);
  const othersS = accounts.reduce((sum, each) => sum + (each.account === account ? 0 : each.totals.coveredS), 0);
  const coveredS = othersS + totals.coveredS;
  if (sinceS !== undefined && coveredS > Math.max(0, atS - sinceS) * (1 + SLACK_SHARE) + SLACK_S)
    return refused(
      'time',
      `it counts ${coveredS.toFixed(0)} s, and came ${Math.max(0, atS - sinceS).toFixed(0)} s ago.`,
    );
  if (totals.tokens - before.tokens > MOST_TOKENS_PER_S * (seconds + 1) || totals.drawingS > totals.coveredS * 1.001)
    return refused('tokens', 'so many tokens, or so much time, do not go into the time that it counts.');
  return partsOf(totals) ?? emissionsOf(before, totals, wh, MOST_HOME_W * hours + mostWh);
}

const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-3 * Math.max(1, Math.abs(a), Math.abs(b));

/** What is the same in other words has to be the same. */
function partsOf(totals: EnergyTotals): Refusal | null {
  const { qualityWh, counterfactual: c, cost, market } = totals;
  const wh = drawnWh(totals);
  const parts = [
    ['its qualities', qualityWh.measured + qualityWh.modelled + qualityWh.assumed],
    ['what training changed', c.extraImportWh + c.lostExportWh + c.usedSpillWh + c.fromBatteryWh + c.fromHouseholdWh],
  ] as const;
  const wrong = parts.find(([, sum]) => !near(sum, wh));
  if (wrong !== undefined)
    return { rule: 'parts', reason: `${wrong[0]} add up to ${wrong[1].toFixed(3)} Wh of ${wh.toFixed(3)} Wh.` };
  const { grid, unallocated } = totals.computeWh;
  const paidWh = cost.reduce((sum, each) => sum + each.wh, 0);
  if ((market.wh > wh && !near(market.wh, wh)) || (paidWh > grid + unallocated && !near(paidWh, grid + unallocated)))
    return { rule: 'parts', reason: 'more energy has a contract or a price than it drew.' };
  if (new Set(cost.map(({ currency }) => currency)).size < cost.length)
    return { rule: 'parts', reason: 'a currency is named twice.' };
  return null;
}

/** Grams and money are energy times something that has a bound. */
function emissionsOf(before: EnergyTotals, totals: EnergyTotals, wh: number, mostChangeWh: number): Refusal | null {
  const refused = (what: string): Refusal => ({ rule: 'emissions', reason: `${what} cannot come of its energy.` });
  if (totals.attributionalG - before.attributionalG > MOST_G_PER_WH * wh + 1e-6) return refused('so many grams');
  if (totals.market.g - before.market.g > MOST_G_PER_WH * wh + 1e-6) return refused('so many grams by contract');
  const { counterfactual: c, marginal: m, cost } = totals;
  const changes = [
    c.extraImportWh - before.counterfactual.extraImportWh,
    c.lostExportWh - before.counterfactual.lostExportWh,
    m.extraImportWh - before.marginal.extraImportWh,
    (c.averageG - before.counterfactual.averageG) / MOST_G_PER_WH,
    (m.g - before.marginal.g) / MOST_G_PER_WH,
    (m.lostExportG - before.marginal.lostExportG) / MOST_G_PER_WH,
  ];
  if (changes.some((change) => Math.abs(change) > mostChangeWh + 1e-6)) return refused('such a difference');
  if (cost.some((each) => Math.abs(each.amount) > MOST_PRICE_PER_WH * each.wh + 1e-6)) return refused('such a price');
  const { drawingS, embodiedG } = totals;
  if ((embodiedG ?? 0) > MOST_EMBODIED_G_PER_S * drawingS + 1e-6) return refused('so much making of a machine');
  return null;
}

/** The name of a sum that became less; undefined where none did. */
function shrunk(before: EnergyTotals, after: EnergyTotals): string | undefined {
  const sums = (t: EnergyTotals): readonly (readonly [string, number])[] => [
    ['time', t.coveredS],
    ['time at work', t.drawingS],
    ['number of tokens', t.tokens],
    ...Object.entries(t.computeWh).map(([source, wh]) => [`energy (${source})`, wh] as const),
    ...Object.entries(t.qualityWh).map(([quality, wh]) => [`energy (${quality})`, wh] as const),
    ['emissions', t.attributionalG],
    ['energy by contract', t.market.wh],
    ['emissions by contract', t.market.g],
    ['making of the machine', t.embodiedG ?? 0],
  ];
  const now = sums(after);
  return sums(before).find(([, value], i) => now[i]![1] < value)?.[0];
}
