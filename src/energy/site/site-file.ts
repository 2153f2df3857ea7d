import { HelioError } from '../../errors.ts';
import { parseYaml } from '../../yaml-document.ts';
import { homeOf } from './home.ts';
import { type Site, siteSchema } from './site-schema.ts';
import { plantOf } from './solar.ts';

/** Longest site file that is read. */
const SITE_BYTES = 200_000;

/**
 * @param source YAML text
 * @param file its name, for messages
 * @throws HelioError HELIO-1011 with file, line and column, or what two keys contradict
 */
export function parseSite(source: string, file: string): Site {
  if (source.length > SITE_BYTES)
    throw wrong(`${file} has ${source.length} characters; ${SITE_BYTES} at most.`, 'Is it the right file?');
  const site = parseYaml(source, {
    file,
    schema: siteSchema,
    code: 'HELIO-1011',
    published: 'schema/site.schema.json',
  });
  for (const check of CHECKS) check(site, file);
  return site;
}

const wrong = (what: string, remedy: string): HelioError => new HelioError('HELIO-1011', what, remedy);

/** What no single key shows: kW where W was meant, and settings that contradict. */
const CHECKS: readonly ((site: Site, file: string) => void)[] = [
  ({ solar }, file) => {
    for (const [i, { peakW }] of (solar?.arrays ?? []).entries())
      if (peakW < 50)
        throw wrong(
          `${file}: solar.arrays.${i}.peakW is ${peakW}: panels of ${peakW} W.`,
          `If you meant ${peakW} kW, write ${peakW * 1000}.`,
        );
  },
  ({ battery }, file) => {
    if (battery !== undefined && battery.capacityWh < 200)
      throw wrong(
        `${file}: battery.capacityWh is ${battery.capacityWh}: less than a toolbox has.`,
        `If you meant ${battery.capacityWh} kWh, write ${battery.capacityWh * 1000}.`,
      );
  },
  ({ machine }, file) => {
    const { trainW, idleW, minTrainW } = machine;
    if (idleW >= trainW)
      throw wrong(
        `${file}: machine.idleW is ${idleW} and machine.trainW ${trainW}: it draws no more when it trains.`,
        'trainW is what the whole machine draws while it trains.',
      );
    if (minTrainW !== undefined && minTrainW > trainW)
      throw wrong(
        `${file}: machine.minTrainW is ${minTrainW}, more than trainW ${trainW}.`,
        'Make it less, or leave it out.',
      );
  },
  ({ policy, solar, battery, meters, evcc }, file) => {
    const { mode, batteryStartPercent, batteryStopPercent } = policy;
    // What a meter says need not be described.
    const isBlind = meters.length === 0 && evcc === undefined;
    if ((mode === 'sun' || mode === 'sun-and-battery') && solar === undefined && isBlind)
      throw wrong(
        `${file}: policy.mode is ${mode}, and the site has no solar panels and no meter.`,
        'Describe them under `solar`, or choose mode: always with a rule such as maxIntensityGPerKWh.',
      );
    if (mode === 'sun-and-battery' && battery === undefined && isBlind)
      throw wrong(
        `${file}: policy.mode is sun-and-battery, and the site has no battery and no meter.`,
        'Describe it, or use mode: sun.',
      );
    if (batteryStopPercent >= batteryStartPercent)
      throw wrong(
        `${file}: policy.batteryStopPercent is ${batteryStopPercent}, and batteryStartPercent ${batteryStartPercent}.`,
        'It has to stop at a lower charge than it starts at.',
      );
  },
  ({ policy, grid }, file) => {
    if (policy.maxPricePerKWh !== undefined && grid.tariff === undefined)
      throw wrong(`${file}: policy.maxPricePerKWh is set, and the site has no tariff.`, 'Add `tariff` under `grid`.');
  },
  ({ policy, machine }, file) => {
    const { powerCapW } = policy;
    const least = leastTrainW(machine);
    if (powerCapW !== undefined && powerCapW < least)
      throw wrong(
        `${file}: policy.powerCapW is ${powerCapW}, and the machine does not train below ${least} W.`,
        `Set it to ${least} or more, or machine.minTrainW lower.`,
      );
  },
  // The rooms that compute with it know more of what cannot be.
  (site, file) => {
    for (const [part, opened] of [
      ['solar', plantOf],
      ['battery', homeOf],
    ] as const)
      try {
        opened(site);
      } catch (error) {
        if (error instanceof HelioError) throw wrong(`${file}: ${part}: ${error.what}`, error.remedy);
        throw error;
      }
  },
];

/** Share of full power below which a cap usually costs more energy a token than it saves (docs/decisions/0016-energy-policy.md). */
const LEAST_SHARE = 0.6;

/** The least that the machine draws when it trains, W. */
export const leastTrainW = ({ trainW, minTrainW, idleW }: Site['machine']): number =>
  minTrainW ?? Math.max(idleW, LEAST_SHARE * trainW);
