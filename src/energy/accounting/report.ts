import { HelioError } from '../../errors.ts';
import { QUALITIES, type Quality, worstQuality } from '../figure.ts';
import { HOUR_MS } from '../series.ts';
import { type BySource, type EnergyInterval, PARTS, SOURCES, totalOf } from './interval.ts';

/** Part of a report: of one zone, one hour, one kind of machine. */
export interface Share {
  readonly wh: number;
  readonly attributionalG: number;
  readonly counterfactualG: number;
}

/** Many intervals in one. Average, marginal and contract stand beside each other, and are never added. */
export interface EnergyReport {
  readonly intervals: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly tokens: number;
  readonly computeWh: BySource;
  readonly totalWh: number;
  /** Location-based, average intensity. */
  readonly attributionalG: BySource;
  readonly totalG: number;
  /** Market-based, for the energy that has a contract. */
  readonly market: { readonly g: number; readonly wh: number };
  readonly counterfactual: {
    readonly extraImportWh: number;
    readonly lostExportWh: number;
    /** Would have been thrown away: 0 g. */
    readonly usedSpillWh: number;
    readonly fromBatteryWh: number;
    readonly fromHouseholdWh: number;
    readonly averageG: number;
    /** For the intervals whose marginal intensity is known. */
    readonly marginal: { readonly g: number; readonly lostExportG: number; readonly extraImportWh: number };
    /** What batteries hold less than they would, at the end: import that is still to come. */
    readonly storedDebtWh: number;
  };
  readonly byZone: ReadonlyMap<string, Share>;
  /** By the start of each hour, UTC, Unix ms. */
  readonly byHour: ReadonlyMap<number, Share>;
  readonly byPart: ReadonlyMap<EnergyInterval['part'], Share>;
  /** The worst of its parts; null of an empty report. */
  readonly quality: Quality | null;
  /** Share of the energy by quality, 0 to 1. */
  readonly qualityShare: Readonly<Record<Quality, number>>;
}

/** Eleven years of hours. */
const MOST_HOURS = 100_000;
const MOST_ZONES = 1_000;

const noSources = (): Record<keyof BySource, number> => ({ pv: 0, battery: 0, grid: 0, unallocated: 0 });

/**
 * Adds records up, one by one: a year of them is never held at once.
 *
 * @throws HelioError HELIO-1012 when two records of one machine overlap, or there are more hours or zones than any run has
 */
export function reportOf(records: Iterable<EnergyInterval>): EnergyReport {
  const computeWh = noSources();
  const attributionalG = noSources();
  const market = { g: 0, wh: 0 };
  const cf = { extraImportWh: 0, lostExportWh: 0, usedSpillWh: 0, fromBatteryWh: 0, fromHouseholdWh: 0, averageG: 0 };
  const marginal = { g: 0, lostExportG: 0, extraImportWh: 0 };
  const byZone = new Map<string, Share>();
  const byHour = new Map<number, Share>();
  const byPart = new Map<EnergyInterval['part'], Share>();
  const qualityWh: Record<Quality, number> = { measured: 0, modelled: 0, assumed: 0 };
  const qualities = new Set<Quality>();
  const last = new Map<string, { readonly endMs: number; readonly debtWh: number }>();
  let intervals = 0;
  let tokens = 0;
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;

  for (const record of records) {
    checkOrder(record, last);
    intervals++;
    tokens += record.tokens ?? 0;
    fromMs = Math.min(fromMs, record.startMs);
    toMs = Math.max(toMs, record.endMs);
    for (const source of SOURCES) {
      computeWh[source] += record.computeWh[source];
      attributionalG[source] += record.attributionalG[source];
    }
    const wh = totalOf(record.computeWh);
    if (record.marketG !== null) {
      market.g += record.marketG;
      market.wh += wh;
    }
    const { counterfactual: c } = record;
    for (const key of Object.keys(cf) as (keyof typeof cf)[]) cf[key] += c[key];
    if (c.marginalG !== null) {
      marginal.g += c.marginalG;
      marginal.lostExportG += c.lostExportMarginalG ?? 0;
      marginal.extraImportWh += c.extraImportWh;
    }
    const share = { wh, attributionalG: totalOf(record.attributionalG), counterfactualG: c.averageG };
    add(byZone, record.zone, share, MOST_ZONES, 'zones');
    add(byHour, Math.floor(record.startMs / HOUR_MS) * HOUR_MS, share, MOST_HOURS, 'hours');
    add(byPart, record.part, share, PARTS.length, 'parts');
    qualityWh[record.quality] += wh;
    qualities.add(record.quality);
  }

  const totalWh = totalOf(computeWh);
  const storedDebtWh = [...last.values()].reduce((sum, { debtWh }) => sum + debtWh, 0);
  return {
    intervals,
    fromMs,
    toMs,
    tokens,
    computeWh,
    totalWh,
    attributionalG,
    totalG: totalOf(attributionalG),
    market,
    counterfactual: { ...cf, marginal, storedDebtWh },
    byZone,
    byHour,
    byPart,
    quality: intervals === 0 ? null : worstQuality(qualities),
    qualityShare: Object.fromEntries(
      QUALITIES.map((quality) => [quality, totalWh > 0 ? qualityWh[quality] / totalWh : 0]),
    ) as Record<Quality, number>,
  };
}

/** Records of one machine come in the order of time: none is counted twice. */
function checkOrder(
  record: EnergyInterval,
  last: Map<string, { readonly endMs: number; readonly debtWh: number }>,
): void {
  const machine = JSON.stringify([record.part, record.name]);
  const before = last.get(machine);
  if (before !== undefined && record.startMs < before.endMs)
    throw new HelioError(
      'HELIO-1012',
      `The ${record.part} ${record.name} has a record from ${new Date(record.startMs).toISOString()}, before its last one ends.`,
      'Give records in the order of time, and each once.',
    );
  last.set(machine, { endMs: record.endMs, debtWh: record.counterfactual.storedDebtWh });
}

function add<Key>(to: Map<Key, Share>, key: Key, share: Share, most: number, what: string): void {
  const before = to.get(key);
  if (before === undefined && to.size >= most)
    throw new HelioError('HELIO-1012', `The records have more than ${most} ${what}.`, 'Report on fewer at a time.');
  to.set(key, {
    wh: (before?.wh ?? 0) + share.wh,
    attributionalG: (before?.attributionalG ?? 0) + share.attributionalG,
    counterfactualG: (before?.counterfactualG ?? 0) + share.counterfactualG,
  });
}
