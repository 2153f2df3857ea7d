import { z } from 'zod';

/** What an owner sets of when the machine may train: the part `policy` of site.yaml. Every rule is off until it is set. */

export const MODES = ['off', 'sun', 'sun-and-battery', 'always'] as const;
export type Mode = (typeof MODES)[number];

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

const percent = z.number().min(0).max(100);
const powerW = z.number().min(0).max(1_000_000);
const minutes = z.number().min(0).max(1_440);
const time = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'a time like 07:30')
  .describe('Local time at the site, like 07:30.');

export const hoursSchema = z.strictObject({
  days: z.array(z.enum(WEEKDAYS)).min(1).max(7).optional().describe('Days on which it begins; all when left out.'),
  from: time,
  to: time.describe('Local time at which it ends; before `from` it is on the next day.'),
});
export type Hours = z.output<typeof hoursSchema>;

export const policySchema = z.strictObject({
  mode: z
    .enum(MODES)
    .default('sun')
    .describe(
      'off: never. sun: with solar power that the home does not need. sun-and-battery: also from the battery, above the level below. always: whenever no other rule stops it.',
    ),
  gridSharePercent: percent
    .default(0)
    .describe(
      'In the sun modes: how much of the training power may come from the grid, so that a small surplus is used.',
    ),
  batteryFirst: z
    .boolean()
    .default(true)
    .describe('In mode sun: solar power fills the battery before it trains. It is needed in the evening.'),
  batteryStartPercent: percent.default(60).describe('In mode sun-and-battery: the charge above which it starts.'),
  batteryStopPercent: percent
    .default(30)
    .describe("In mode sun-and-battery: the charge below which it stops; never less than the battery's reserve."),
  maxIntensityGPerKWh: z
    .number()
    .positive()
    .max(5_000)
    .optional()
    .describe('Takes grid power only below this carbon intensity.'),
  maxPricePerKWh: z.number().min(-10).max(100).optional().describe('Takes grid power only at or below this price.'),
  idleOnly: z
    .boolean()
    .default(false)
    .describe('Trains only while nobody uses the machine; yields at the end of the step that it trains.'),
  idleAfterS: z.number().min(1).max(86_400).default(120).describe('Nobody uses it: no input for so long.'),
  quietHours: z.array(hoursSchema).max(50).default([]).describe('Hours in which it never trains.'),
  maxTemperatureC: z.number().min(-20).max(120).optional().describe('Stops above this temperature of room or device.'),
  monthlyDataGB: z
    .number()
    .positive()
    .max(1e6)
    .optional()
    .describe('Stops when it has sent and received so much in a calendar month.'),
  powerCapW: powerW.optional().describe('The most that the machine may draw while it trains.'),
  trainInOutage: z
    .boolean()
    .default(false)
    .describe('Trains on solar power while the grid is down. The battery is left to the home.'),
  startDelayS: z.number().min(0).max(3_600).default(60).describe('Surplus for so long before it starts.'),
  stopDelayS: z.number().min(0).max(3_600).default(180).describe('Too little for so long before it stops.'),
  minOnMinutes: minutes
    .default(10)
    .describe('It trains for at least so long, unless a rule other than the sun stops it.'),
  minOffMinutes: minutes
    .default(20)
    .describe('It pauses for at least so long, so that a cloudy day has two starts an hour at most.'),
  importToleranceWh: z
    .number()
    .min(0)
    .max(10_000)
    .default(15)
    .describe('Energy taken from the grid beyond the allowed share before it stops: a kettle stops nothing.'),
});
export type Policy = z.output<typeof policySchema>;

export const DEFAULT_POLICY: Policy = policySchema.parse({});
