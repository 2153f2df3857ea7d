import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSite } from '../energy/site/site-file.ts';
import type { Site } from '../energy/site/site-schema.ts';
import { HelioError } from '../errors.ts';

/** @throws HelioError HELIO-1011 with file, line and column, or why it cannot be read */
export function readSiteFile(file: string): Site {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new HelioError(
      'HELIO-1011',
      `The site file ${file} cannot be read (${code}).`,
      code === 'ENOENT' ? '`heliotrope provide` writes one.' : 'Check its permissions.',
      { cause: error },
    );
  }
  const site = parseSite(source, file);
  const at = <T extends Part>(part: T): T => resolved(part, path.dirname(path.resolve(file)));
  const { intensity, tariff } = site.grid;
  return {
    ...site,
    grid: { ...site.grid, intensity: at(intensity), ...(tariff === undefined ? {} : { tariff: at(tariff) }) },
    weather: at(site.weather),
  };
}

type Part = Site['grid']['intensity'] | NonNullable<Site['grid']['tariff']> | Site['weather'];

/** Paths in a site file are relative to it: a service is started in another folder than its owner was in. */
function resolved<T extends Part>(part: T, folder: string): T {
  const at = (file: string): string => path.resolve(folder, file);
  const files = 'path' in part ? { path: at(part.path) } : {};
  const token =
    'token' in part && part.token?.file !== undefined ? { token: { ...part.token, file: at(part.token.file) } } : {};
  const fallback =
    'fallback' in part ? { fallback: (part.fallback as Part[]).map((each) => resolved(each, folder)) } : {};
  return { ...part, ...files, ...token, ...fallback };
}
