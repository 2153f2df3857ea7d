import { z } from 'zod';
import { type Origin, QUALITIES } from '../figure.ts';

const words = (most: number) => z.string().min(1).max(most);
export const originSchema: z.ZodType<Origin> = z.strictObject({
  quality: z.enum(QUALITIES),
  method: words(300),
  vintage: words(60).exactOptional(),
  insteadOf: words(300).exactOptional(),
});

/** Coal of the worst kind is below 1,500; more is g/MWh, lb/MWh or a mistake. Marginal intensity may be negative in theory, and is not here. */
const gPerKWh = z.number().min(0).max(5_000);
const zone = words(60);
const factor = { gPerKWh, zone, origin: originSchema };

/**
 * What the grid's plants emit for each kWh that is consumed. `lifecycle` counts mining, building and scrapping of the plants too; `direct`
 * their fuel alone; `unstated` is what a service does not say. For books that are divided among consumers.
 */
export const averageSchema = z.strictObject({
  kind: z.literal('average'),
  scope: z.enum(['lifecycle', 'direct', 'unstated']),
  ...factor,
});
export type AverageIntensity = z.output<typeof averageSchema>;

/** What the grid would emit more for one kWh more: for decisions, and for what was caused. */
export const marginalSchema = z.strictObject({ kind: z.literal('marginal'), ...factor });
export type MarginalIntensity = z.output<typeof marginalSchema>;

/** By contract or certificate: never in the same sum as the grid where the machine stands. */
export const contractSchema = z.strictObject({ kind: z.literal('contract'), ...factor });
export type ContractIntensity = z.output<typeof contractSchema>;

/** Of a kWh that is consumed. A marginal intensity does not fit, and the compiler says so. */
export const averageG = (wh: number, { gPerKWh }: AverageIntensity): number => (wh / 1000) * gPerKWh;

/** Of a kWh more. */
export const marginalG = (wh: number, { gPerKWh }: MarginalIntensity): number => (wh / 1000) * gPerKWh;

/** By contract. */
export const contractG = (wh: number, { gPerKWh }: ContractIntensity): number => (wh / 1000) * gPerKWh;

/**
 * Lifecycle emissions of plants, gCO2e/kWh: medians of IPCC AR5 WG3, annex III, table A.III.2 (2014). Panels and wind are not 0: somebody made them.
 */
export const LIFECYCLE_G_PER_KWH = {
  coal: 820,
  gas: 490,
  biomass: 230,
  'solar-utility': 48,
  'solar-rooftop': 41,
  'solar-concentrated': 27,
  geothermal: 38,
  hydro: 24,
  nuclear: 12,
  'wind-onshore': 11,
  'wind-offshore': 12,
} as const;

export const ROOFTOP_PV: AverageIntensity = {
  kind: 'average',
  scope: 'lifecycle',
  gPerKWh: LIFECYCLE_G_PER_KWH['solar-rooftop'],
  zone: 'home',
  origin: { quality: 'assumed', method: 'median of rooftop PV, IPCC AR5 WG3 annex III', vintage: '2014' },
};

/** WattTime and the US grid say pounds a MWh. */
export const gPerKWhFromPoundsPerMWh = (poundsPerMWh: number): number => poundsPerMWh * 0.45359237;
