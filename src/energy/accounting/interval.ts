import { z } from 'zod';
import { HelioError } from '../../errors.ts';
import { QUALITIES, type Quality, worstQuality } from '../figure.ts';
import { averageSchema, contractSchema, marginalSchema, originSchema } from './intensity.ts';

export const INTERVAL_MS = 15 * 60_000;
const LONGEST_MS = 3_600_000;

export const SOURCES = ['pv', 'battery', 'grid', 'unallocated'] as const;
export type Source = (typeof SOURCES)[number];
/** Who used it. A run is more than its islands. */
export const PARTS = ['island', 'coordinator', 'network'] as const;

const amount = z.number().min(0).max(1e12);
const change = z.number().min(-1e12).max(1e12);
/** Of any currency; below 0 where the grid has too much. */
const price = z.number().min(-1e6).max(1e6);
const bySource = z.strictObject({ pv: amount, battery: amount, grid: amount, unallocated: amount });
export type BySource = z.output<typeof bySource>;

const fields = z.strictObject({
  version: z.literal(1),
  part: z.enum(PARTS),
  name: z.string().min(1).max(200),
  /** Unix time, ms. */
  startMs: z.int().min(0),
  endMs: z.int().min(0),
  zone: z.string().min(1).max(60),
  /** Trained in it; null where nobody counted. */
  tokens: z.int().min(0).nullable(),
  /** What the machine drew. The sum is its meter; `unallocated` is what no source explains. */
  computeWh: bySource,
  /** How the sum was got, and how it was divided. */
  energyOrigin: originSchema,
  splitOrigin: originSchema,
  /** Of the grid; of the panels; of what the battery gave, from what had charged it, losses included. */
  average: averageSchema,
  pvGPerKWh: z.number().min(0).max(5_000),
  batteryGPerKWh: z.number().min(0).max(1e6),
  marginal: marginalSchema.nullable(),
  contract: contractSchema.nullable(),
  /** Location-based, with average intensity. What is unallocated counts as if it came from the grid. */
  attributionalG: bySource,
  /** Market-based: grid and unallocated by contract, the home's own sources as above. Null without a contract. */
  marketG: amount.nullable(),
  /** What grid and unallocated energy cost, by the tariff; absent where nobody told one. */
  cost: z
    .strictObject({ perKWh: price, currency: z.string().regex(/^[A-Z]{3}$/), wh: amount, amount: change })
    .exactOptional(),
  /** The same home without compute: what is different. The first five add up to what the machine drew. */
  counterfactual: z.strictObject({
    extraImportWh: change,
    lostExportWh: change,
    /** What would have been thrown away: it causes nothing. */
    usedSpillWh: change,
    /** Taken from what the battery would hold, losses included: it is missed later. */
    fromBatteryWh: change,
    /** What the household went without, in an outage. */
    fromHouseholdWh: change,
    averageG: change,
    marginalG: change.nullable(),
    /** What other plants made instead of the lost export; never within the others. */
    lostExportMarginalG: change.nullable(),
    /** What the battery holds less than it would, at the end of the interval. */
    storedDebtWh: change,
  }),
  quality: z.enum(QUALITIES),
});

const near = (found: number, wanted: number): boolean =>
  Math.abs(found - wanted) <= 1e-6 * Math.max(1, Math.abs(found), Math.abs(wanted));

/** One line of `energy.jsonl`: what one part of a run drew in at most an hour, as a rule 15 minutes, and what that emitted. */
export const intervalSchema = fields.check(({ value: r, issues }) => {
  const say = (path: string, message: string): void => {
    issues.push({ code: 'custom', path: [path], message, input: r });
  };
  if (!(r.endMs > r.startMs && r.endMs - r.startMs <= LONGEST_MS))
    say('endMs', 'must be after startMs, by an hour at most');
  const { computeWh: wh, attributionalG: g, counterfactual: c } = r;
  const perKWh = {
    pv: r.pvGPerKWh,
    battery: r.batteryGPerKWh,
    grid: r.average.gPerKWh,
    unallocated: r.average.gPerKWh,
  };
  for (const source of SOURCES)
    if (!near(g[source], (wh[source] / 1000) * perKWh[source]))
      say('attributionalG', `${source} is not its energy × its intensity`);
  if (!near(totalOf(wh), c.extraImportWh + c.lostExportWh + c.usedSpillWh + c.fromBatteryWh + c.fromHouseholdWh))
    say('counterfactual', 'does not add up to what was drawn');
  if ((r.marginal === null) !== (c.marginalG === null))
    say('counterfactual', 'marginalG goes with a marginal intensity');
  if ((r.contract === null) !== (r.marketG === null)) say('marketG', 'goes with a contract');
  const { cost } = r;
  if (
    cost !== undefined &&
    !(near(cost.wh, wh.grid + wh.unallocated) && near(cost.amount, (cost.wh / 1000) * cost.perKWh))
  )
    say('cost', "is not the grid's energy × its price");
  if (r.quality !== qualityOf(r)) say('quality', 'is not the worst of its parts');
});
export type EnergyInterval = z.output<typeof fields>;

export const totalOf = ({ pv, battery, grid, unallocated }: BySource): number => pv + battery + grid + unallocated;

/** As good as its worst part. */
export const qualityOf = (record: Pick<EnergyInterval, 'energyOrigin' | 'splitOrigin' | 'average'>): Quality =>
  worstQuality([record.energyOrigin.quality, record.splitOrigin.quality, record.average.origin.quality]);

export const intervalLine = (record: EnergyInterval): string => `${JSON.stringify(record)}\n`;

const MOST_LINE = 10_000;

/**
 * @param where file and line, for the person who reads the error
 * @throws HelioError HELIO-1012 for a line that is no record, or whose parts do not add up
 */
export function readInterval(line: string, where: string): EnergyInterval {
  const refused = (why: string): HelioError =>
    new HelioError(
      'HELIO-1012',
      `${where} is no record of energy: ${why}.`,
      'Leave the line out: what it says cannot be used.',
    );
  if (line.length > MOST_LINE) throw refused(`${line.length} letters, more than ${MOST_LINE}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw refused('no JSON');
  }
  const result = intervalSchema.safeParse(parsed);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw refused(`${issue!.path.join('.')}: ${issue!.message}`);
}
