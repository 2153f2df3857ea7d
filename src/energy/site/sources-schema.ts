import { z } from 'zod';
import { CLIMATES, type Climate } from '../grid/weather.ts';
import { hoursSchema } from '../policy/policy-schema.ts';

/** Where a site's figures of grid and weather come from. docs/energy-sources.md. */

const gPerKWh = z.number().min(0).max(5_000);
const price = z.number().min(-10).max(100);
const currency = z
  .string()
  .regex(/^[A-Z]{3}$/, 'three capital letters, like EUR')
  .default('EUR');
const seed = z
  .int()
  .min(0)
  .max(2 ** 31)
  .default(1)
  .describe('Another seed, another course of the same statistics.');
export const baseUrl = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine((text) => {
    const { username, password, search, hash } = new URL(text);
    return username + password + search + hash === '';
  }, 'no user, password, query or # in it: it is shown in messages. A token stands under `token`');
const zone = z
  .string()
  .min(1)
  .max(60)
  .optional()
  .describe('Name of the zone there; that of `grid.zone` when left out.');
const tokenFrom = z.strictObject({
  env: z.string().min(1).max(100).optional().describe('Name of the environment variable that holds it.'),
  file: z.string().min(1).max(1_000).optional().describe('File whose first line it is.'),
});
const column = z.string().min(1).max(100);
const table = {
  path: z.string().min(1).max(1_000).describe('Ends in .csv, or in .json: an array of objects.'),
  time: column
    .default('time')
    .describe('Column of the times, ISO 8601 with an offset or Z: when what the row says begins.'),
  stepMinutes: z.number().min(1).max(1_440).default(60).describe('For how long a row holds.'),
};
const file = {
  kind: z.literal('file').describe('A CSV or JSON file with a time and a value in each row.'),
  ...table,
  value: column.default('value').describe('Column of the values.'),
};

const constantIntensity = z.strictObject({
  kind: z.literal('constant').describe('One figure for all hours.'),
  gPerKWh: gPerKWh.default(475).describe('gCO2e/kWh; the world average when left out.'),
});
const fileIntensity = z.strictObject({
  ...file,
  unit: z.enum(['g/kWh', 'kg/kWh', 'kg/MWh', 'lb/MWh']).describe('What the values are given in.'),
  signal: z.enum(['average', 'marginal']).default('average').describe('What the values are: the two are never added.'),
});
const syntheticIntensity = z.strictObject({
  kind: z.literal('synthetic').describe('Drawn from the statistics of a zone; labelled as modelled.'),
  zone,
  seed,
});
const intensityFallback = z
  .array(z.discriminatedUnion('kind', [constantIntensity, fileIntensity, syntheticIntensity]))
  .max(3)
  .default([])
  .describe('What stands in, in this order, while the service gives nothing; it is shown as a fallback.');

export const intensitySchema = z.discriminatedUnion('kind', [
  constantIntensity,
  fileIntensity,
  syntheticIntensity,
  z.strictObject({
    kind: z.literal('gb-carbon-intensity').describe('carbonintensity.org.uk: Great Britain, no key, 48 h ahead.'),
    baseUrl: baseUrl.default('https://api.carbonintensity.org.uk'),
    fallback: intensityFallback,
  }),
  z.strictObject({
    kind: z.literal('electricity-maps').describe('Electricity Maps v3, or a service of the same shape.'),
    baseUrl: baseUrl.default('https://api.electricitymaps.com'),
    zone,
    token: tokenFrom,
    products: z
      .array(z.enum(['latest', 'history', 'forecast']))
      .min(1)
      .max(3)
      .default(['latest'])
      .describe('What the account may ask for.'),
    fallback: intensityFallback,
  }),
  z.strictObject({
    kind: z.literal('watttime').describe('WattTime v3, or a service of the same shape: marginal intensity.'),
    baseUrl: baseUrl.default('https://api.watttime.org'),
    zone,
    user: z.string().min(1).max(200),
    token: tokenFrom.describe('Where the password is.'),
    fallback: intensityFallback,
  }),
]);
export type IntensityConfig = z.output<typeof intensitySchema>;

/** Where evcc is. */
export const evccAddress = {
  host: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,253}$|^\[[0-9A-Fa-f:.]{2,45}\]$/, 'a name or an address, without http:// and port')
    .default('evcc.local')
    .describe('Address of evcc.'),
  port: z.int().min(1).max(65_535).default(7070),
};

export const tariffSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('constant').describe('One price for all hours.'),
    perKWh: price.describe('Price of a kWh.'),
    currency,
  }),
  z.strictObject({
    kind: z.literal('time-of-use').describe('Prices by weekday and hour of the site’s time zone.'),
    perKWh: price.describe('Price of a kWh outside of all periods.'),
    periods: z
      .array(z.strictObject({ ...hoursSchema.shape, perKWh: price }))
      .min(1)
      .max(50)
      .describe('The first that holds decides.'),
    currency,
  }),
  z.strictObject({ ...file, unit: z.enum(['kWh', 'MWh']).describe('The price is for one of these.'), currency }),
  z.strictObject({
    kind: z.literal('synthetic').describe('Follows the synthetic intensity of a zone; labelled as assumed.'),
    zone,
    seed,
    perKWh: price.default(0.3).describe('Mean price of a kWh.'),
    currency,
  }),
  z.strictObject({
    kind: z.literal('evcc').describe('Prices as evcc knows them, with its forecast.'),
    ...evccAddress,
    currency,
  }),
]);
export type TariffConfig = z.output<typeof tariffSchema>;

const clearSky = z.strictObject({
  kind: z.literal('clear-sky').describe('Computed: a clear sky, times a factor for clouds.'),
  cloudFactor: z.number().min(0.05).max(1).default(0.7).describe('Share of a clear sky that comes through on average.'),
});
const syntheticWeather = z.strictObject({
  kind: z.literal('synthetic').describe('Seeded clouds, air and wind of a climate; labelled as modelled.'),
  climate: z.enum(Object.keys(CLIMATES) as [Climate, ...Climate[]]).default('continental'),
  seed,
});
const fileWeather = z.strictObject({
  kind: z.literal('file').describe('A CSV or JSON file with a time and irradiance in each row.'),
  ...table,
  columns: z
    .strictObject({
      ghiWPerM2: column.default('ghi').describe('Global irradiance on the level, W/m².'),
      dniWPerM2: column.optional().describe('Direct irradiance across the beam, W/m²; derived when left out.'),
      dhiWPerM2: column.optional().describe('Diffuse irradiance on the level, W/m²; derived when left out.'),
      airC: column.optional().describe('Air, °C; 15 when left out.'),
      windMPerS: column.optional().describe('Wind, m/s; 2 when left out.'),
    })
    .prefault({})
    .describe('Names of its columns.'),
});
export const weatherSchema = z.discriminatedUnion('kind', [
  clearSky,
  fileWeather,
  syntheticWeather,
  z.strictObject({
    kind: z.literal('open-meteo').describe('Open-Meteo, or a service of the same shape.'),
    baseUrl: baseUrl.default('https://api.open-meteo.com'),
    stepMinutes: z
      .literal([15, 60])
      .default(60)
      .describe('15 where its models have quarters of an hour, as in Europe and North America.'),
    token: tokenFrom.optional().describe('Where the key of an account is, for its customers’ base URL.'),
    fallback: z
      .array(z.discriminatedUnion('kind', [clearSky, fileWeather, syntheticWeather]))
      .max(3)
      .default([{ kind: 'clear-sky', cloudFactor: 0.7 }])
      .describe('What stands in, in this order, while the service gives nothing; it is shown as a fallback.'),
  }),
]);
export type WeatherConfig = z.output<typeof weatherSchema>;
