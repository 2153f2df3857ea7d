import { z } from 'zod';
import { policySchema } from '../policy/policy-schema.ts';
import { MODULES, MOUNTINGS } from '../sun/system.ts';
import { gridOperatorSchema } from './grid-operator-schema.ts';
import { evccAddress, intensitySchema, tariffSchema, weatherSchema } from './sources-schema.ts';

/** `site.yaml`: a home, a laboratory, a data center, as its owner describes it. The one declaration of its type, its validator and its JSON Schema. */

const powerW = z.number().min(0).max(10_000_000);

const arraySchema = z.strictObject({
  peakW: powerW.min(1).describe('Rated power of the panels, W. 8 kW are 8000.'),
  tiltDeg: z.number().min(0).max(90).describe('0 lies flat, 90 stands.'),
  azimuthDeg: z
    .number()
    .min(0)
    .max(360)
    .describe('Where they look, clockwise from north: 90 east, 180 south, 270 west.'),
  mounting: z.enum(MOUNTINGS).default('roof').describe('How much air cools them.'),
  module: z.enum(MODULES).optional().describe('Kind of module; standard when left out.'),
  horizonDeg: z
    .array(z.number().min(0).max(90))
    .min(1)
    .max(360)
    .optional()
    .describe('How high hills and houses stand, for equal sectors clockwise from north.'),
});

export const siteSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'up to 63 lower-case letters, digits and dashes')
    .default('home')
    .describe("The site's name, and the island's."),
  location: z
    .strictObject({
      latitudeDeg: z.number().min(-90).max(90).describe('North of the equator is +.'),
      longitudeDeg: z.number().min(-180).max(180).describe('East of Greenwich is +.'),
      altitudeM: z.number().min(-500).max(9_000).default(0),
      timeZone: z
        .string()
        .max(64)
        .refine(isTimeZone, 'an IANA time zone, like Europe/Berlin')
        .default('UTC')
        .describe('IANA time zone, like Europe/Berlin: quiet hours and tariffs go by it.'),
    })
    .describe('Where it is.'),
  solar: z
    .strictObject({
      arrays: z.array(arraySchema).min(1).max(16),
      inverterW: powerW
        .min(1)
        .optional()
        .describe('Most AC power of the inverter; the peak power of the panels ÷ 1.2 when left out.'),
      lossPercent: z.number().min(0).max(99).optional().describe('Dirt, wires, ageing; 14.08 when left out.'),
      exportLimitW: powerW
        .optional()
        .describe('The most that may go to the grid. What is above is thrown away, or trains.'),
    })
    .optional()
    .describe('Its panels.'),
  battery: z
    .strictObject({
      capacityWh: z.number().min(1).max(1e9).describe('Usable energy, Wh. 10 kWh are 10000.'),
      chargeW: powerW.min(1),
      dischargeW: powerW.min(1),
      roundTripEfficiency: z.number().min(0.3).max(1).default(0.9),
      reservePercent: z
        .number()
        .min(0)
        .max(100)
        .default(20)
        .describe("The owner's reserve: never touched for training."),
      outageHours: z
        .number()
        .min(0)
        .max(168)
        .default(0)
        .describe('Raises the reserve to what the household needs for so long.'),
    })
    .optional(),
  household: z
    .strictObject({ averageW: powerW.default(400).describe('What the home takes on average, without this machine.') })
    .prefault({}),
  grid: z
    .strictObject({
      zone: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,32}$/)
        .optional()
        .describe('Name of the grid zone, like DE or US-CAL-CISO.'),
      intensity: intensitySchema.prefault({ kind: 'constant' }),
      tariff: tariffSchema.optional(),
      importLimitW: powerW.optional(),
    })
    .prefault({}),
  weather: weatherSchema.prefault({ kind: 'clear-sky' }),
  machine: z
    .strictObject({
      idleW: powerW.default(40).describe('What the machine draws when it does nothing.'),
      trainW: powerW.min(1).default(200).describe('What it draws when it trains without a cap.'),
      minTrainW: powerW
        .optional()
        .describe('Below it a cap costs more energy a token than it saves; 60 % of trainW when left out.'),
      embodiedKg: z.number().min(0).max(1e6).optional().describe('kg CO2e of making it.'),
      lifetimeYears: z.number().positive().max(30).default(4),
    })
    .prefault({}),
  meters: z
    .array(
      z.looseObject({
        template: z
          .string()
          .max(200)
          .describe('A template that is shipped, or a file of your own: heliotrope meters list.'),
      }),
    )
    .max(16)
    .default([])
    .describe("Devices that tell the home's power. With a template stand its settings, like host."),
  signals: z
    .strictObject({
      port: z
        .int()
        .min(0)
        .max(65_535)
        .default(7421)
        .describe('PUT /v1/limit there dims training, or stops it at the end of a step.'),
      token: z
        .string()
        .min(16)
        .max(200)
        .optional()
        .describe('With it other machines may send; without it this machine alone.'),
    })
    .optional()
    .describe('A switch for an energy manager, evcc or a script of your own.'),
  evcc: z
    .strictObject({
      ...evccAddress,
      vehiclesFirst: z
        .boolean()
        .default(true)
        .describe('Cars that charge with the sun (modes pv and minpv) come before training.'),
      cheapHours: z
        .boolean()
        .default(false)
        .describe('While evcc charges with cheap power from the grid (its smart cost limit), training takes it too.'),
    })
    .optional()
    .describe('evcc: its meters are those of the home, and training gets what its cars leave.'),
  gridOperator: gridOperatorSchema.optional().describe('A grid operator whose events dim training, or stop it.'),
  policy: policySchema.prefault({}),
});
export type Site = z.output<typeof siteSchema>;
export type SiteFile = z.input<typeof siteSchema>;

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
