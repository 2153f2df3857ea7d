import { z } from 'zod';
import { parseSite } from '../energy/site/site-file.ts';
import { siteSchema } from '../energy/site/site-schema.ts';
import { HelioError } from '../errors.ts';
import { parseYaml } from '../yaml-document.ts';
import { ZONE_NAMES } from './zone-names.ts';

/** `homes.yaml`: simulated homes, each a site as its owner would describe it, with the clouds above it. */

const homeSchema = siteSchema.extend({
  cloudiness: z.number().min(0).max(1).default(0.4).describe('0: never a cloud; 1: hardly ever the sun.'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31)
    .default(1)
    .describe('Another seed, another sky.'),
});
export type SimulatedSite = z.output<typeof homeSchema>;

export const homesSchema = z.strictObject({
  from: z.iso
    .datetime({ precision: -1 })
    .default('2026-06-20T18:00Z')
    .describe('When the homes’ clock begins, like 2026-06-20T18:00Z.'),
  homes: z.array(homeSchema).min(1).max(64).describe('The homes; each is an island of the run.'),
});
export interface HomesFile {
  readonly fromMs: number;
  readonly homes: readonly SimulatedSite[];
}

const BYTES = 1_000_000;

/**
 * @param source YAML text
 * @param file its name, for messages
 * @throws HelioError HELIO-1011 with file, line and column, or what contradicts
 */
export function parseHomes(source: string, file: string): HomesFile {
  if (source.length > BYTES)
    throw new HelioError(
      'HELIO-1011',
      `${file} has ${source.length} characters; ${BYTES} at most.`,
      'Is it the right file?',
    );
  const { from, homes } = parseYaml(source, {
    file,
    schema: homesSchema,
    code: 'HELIO-1011',
    published: 'schema/homes.schema.json',
  });
  const names = new Set<string>();
  for (const { seed: _seed, cloudiness: _cloudiness, ...site } of homes) {
    if (names.has(site.name))
      throw new HelioError('HELIO-1011', `${file}: two homes are called ${site.name}.`, 'Give each a name of its own.');
    names.add(site.name);
    checkSurroundings(site, `${file}, ${site.name}`);
    // As it would be refused on its own.
    parseSite(JSON.stringify(site), `${file}, ${site.name}`);
  }
  return { fromMs: Date.parse(from), homes };
}

type Site = Omit<SimulatedSite, 'seed' | 'cloudiness'>;

/** A simulated day must not ask a service of today, nor use a figure in its place. */
function checkSurroundings({ grid, weather }: Site, where: string): void {
  const { intensity, tariff, zone } = grid;
  const refuse = (what: string, remedy: string) => {
    throw new HelioError('HELIO-1011', `${where}: ${what}`, remedy);
  };
  if (intensity.kind !== 'constant' && intensity.kind !== 'synthetic')
    refuse(
      `grid.intensity of kind ${intensity.kind}; a simulated home has its own.`,
      'Give `kind: constant`, or `kind: synthetic` with a zone.',
    );
  if (tariff !== undefined && tariff.kind === 'file')
    refuse('grid.tariff of kind file; a simulated home has its own.', 'Give constant, time-of-use or synthetic.');
  for (const [place, each] of [
    ['intensity', intensity],
    ['tariff', tariff],
  ] as const)
    if (each?.kind === 'synthetic' && !ZONE_NAMES.includes(each.zone ?? zone ?? ''))
      refuse(
        `grid.${place} is synthetic, and there is no zone ${each.zone ?? zone ?? '(none is named)'}.`,
        `There are ${ZONE_NAMES.join(', ')}.`,
      );
  if (weather.kind !== 'clear-sky' && weather.kind !== 'synthetic')
    refuse(
      `weather of kind ${weather.kind}; a simulated home has its own.`,
      'Leave it out: `cloudiness` and `seed` say how its sky is; or give `kind: synthetic` with a climate.',
    );
}
