import type { Factors, RunEnergy } from '../coordinator/run-energy.ts';
import { estimateEnergy, SUSTAINABLE_WEB_DESIGN } from '../energy/accounting/index.ts';
import { QUALITIES, type Quality, worstQuality } from '../energy/figure.ts';
import { gramsCO2e, percent, watthours } from './live/format.ts';

/** What a run used and emitted, in words for the reader of a report: every figure with how it was got. */

/** A sum, with its method, as summaries have it. */
export interface EnergySummary {
  readonly energyWh: number;
  readonly energyMethod: string;
  readonly gCO2e: number;
  readonly carbonMethod: string;
  readonly energyQuality: Quality;
}

/** @param cpuS of all processes of the run, for a run without any books */
export function energySummary(energy: RunEnergy, cpuS: number, factors: Factors): EnergySummary {
  const { totalWh, attributionalG, withBooks, parts } = energy;
  const estimate = estimateEnergy(cpuS, factors.wattsPerCore, factors.intensityGPerKWh);
  const network = parts.networkWh === 0 ? '' : `; ${networkWords(parts.networkWh)}`;
  const words =
    withBooks === 0
      ? { energyMethod: `${estimate.energyMethod}${network}`, carbonMethod: estimate.carbonMethod }
      : {
          energyMethod: `${booksWords(energy)}; ${restWords(energy, factors)}${network}`,
          carbonMethod: `location-based, each watt-hour by its source with average intensity, and ${factors.intensityGPerKWh} g/kWh where there are no books (assumed); operational only`,
        };
  return { energyWh: totalWh, gCO2e: attributionalG, energyQuality: qualityOfRun(energy), ...words };
}

const booksWords = ({ islands, withBooks }: RunEnergy): string =>
  `books of ${withBooks} of ${islands} island${islands === 1 ? '' : 's'}, as they claim`;

const restWords = ({ estimatedWh, parts }: RunEnergy, { wattsPerCore }: Factors): string =>
  `the rest, ${watthours(estimatedWh - parts.networkWh)} with the coordinator's ${watthours(parts.coordinatorWh)}, CPU seconds × ${wattsPerCore} W for each busy core (assumed)`;

const networkWords = (wh: number): string =>
  `the network ${watthours(wh)} (assumed: ${SUSTAINABLE_WEB_DESIGN.whPerGB} Wh/GB, ${SUSTAINABLE_WEB_DESIGN.source})`;

/** A total is as good as its worst part. */
function qualityOfRun({ qualityWh }: RunEnergy): Quality {
  const found = QUALITIES.filter((quality) => qualityWh[quality] > 0);
  return found.length === 0 ? 'assumed' : worstQuality(found);
}

/** measured 80 %, modelled 5 %, assumed 15 % */
export const qualityShares = ({ qualityWh, totalWh }: Pick<RunEnergy, 'qualityWh' | 'totalWh'>): string =>
  QUALITIES.filter((quality) => qualityWh[quality] > 0)
    .map((quality) => `${quality} ${percent(qualityWh[quality] / totalWh)}`)
    .join(', ');

const SOURCES = [
  ['sun', 'pv'],
  ['battery', 'battery'],
  ['grid', 'grid'],
  ['unallocated', 'unallocated'],
] as const;

/** sun 60 %, battery 10 %, grid 25 %, unallocated 5 % */
export const sourceShares = ({ computeWh, totalWh }: Pick<RunEnergy, 'computeWh' | 'totalWh'>): string =>
  SOURCES.filter(([, source]) => computeWh[source] > 0)
    .map(([name, source]) => `${name} ${percent(computeWh[source] / totalWh)}`)
    .join(', ');

export const costWords = ({ cost }: Pick<RunEnergy, 'cost'>): string =>
  cost.map(({ amount, currency }) => `${Number(amount.toPrecision(3))} ${currency}`).join(' + ');

/** Books that are never added, one sentence each; nothing for a run without books. */
export function bookLines(energy: RunEnergy): readonly string[] {
  if (energy.withBooks === 0) return [];
  const { counterfactualG, storedDebtWh, marginal, market, cost, embodiedG, withEmbodied, islands } = energy;
  const debt = Math.abs(storedDebtWh) < 1 ? '' : `; batteries hold ${watthours(storedDebtWh)} less than they would`;
  return [
    `by source: ${sourceShares(energy)}`,
    `by method: ${qualityShares(energy)}`,
    `counterfactual, what training caused: ${gramsCO2e(counterfactualG)}${debt}`,
    ...(marginal.extraImportWh === 0 && marginal.g === 0
      ? []
      : [
          `the same with marginal intensity, where it is known: ${gramsCO2e(marginal.g)} for ${watthours(marginal.extraImportWh)} of import`,
        ]),
    ...(market.wh === 0 ? [] : [`market-based, by contract: ${gramsCO2e(market.g)} for ${watthours(market.wh)}`]),
    ...(cost.length === 0 ? [] : [`cost of the grid's part, where a tariff is known: ${costWords(energy)}`]),
    ...(embodiedG === null
      ? []
      : [`making the machines: ${gramsCO2e(embodiedG)}, of ${withEmbodied} of ${islands} whose owners say it`]),
  ];
}
