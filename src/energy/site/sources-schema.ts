import { z } from 'zod';

/** Where a site's figures of grid and weather come from. */

const gPerKWh = z.number().min(0).max(5_000);

export const intensitySchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('constant').describe('One figure for all hours.'),
    gPerKWh: gPerKWh.default(475).describe('gCO2e/kWh; the world average when left out.'),
  }),
]);

export const tariffSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('constant').describe('One price for all hours.'),
    perKWh: z.number().min(-10).max(100).describe('Price of a kWh.'),
    currency: z.string().length(3).default('EUR'),
  }),
]);

export const weatherSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('clear-sky').describe('Computed: a clear sky, times a factor for clouds.'),
    cloudFactor: z
      .number()
      .min(0.05)
      .max(1)
      .default(0.7)
      .describe('Share of a clear sky that comes through on average.'),
  }),
]);
