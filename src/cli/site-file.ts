import { statSync } from 'node:fs';
import path from 'node:path';
import { parseSite } from '../energy/site/site-file.ts';
import type { Site } from '../energy/site/site-schema.ts';
import { HelioError } from '../errors.ts';
import { readSource } from './source-file.ts';

/** @throws HelioError HELIO-1011 with file, line and column, or why it cannot be read */
export function readSiteFile(file: string): Site {
  const source = readSource(file, { code: 'HELIO-1011', what: 'site file', where: '`heliotrope provide` writes one.' });
  const site = parseSite(source, file);
  const at = <T extends Part>(part: T): T => resolved(part, path.dirname(path.resolve(file)));
  const { intensity, tariff } = site.grid;
  return {
    ...site,
    grid: { ...site.grid, intensity: at(intensity), ...(tariff === undefined ? {} : { tariff: at(tariff) }) },
    weather: at(site.weather),
    ...(site.gridOperator === undefined ? {} : { gridOperator: withPaths(site.gridOperator, file) }),
  };
}

/**
 * A site file that its owner may change while an island runs by it.
 *
 * @returns what to call now and then: the site, where the file has changed since; a file that is wrong is told once, and what was before holds
 */
export function followSiteFile(file: string, say: (sentence: string) => void): () => Site | undefined {
  const changedMs = (): number | undefined => {
    try {
      return statSync(file).mtimeMs;
    } catch {
      return undefined;
    }
  };
  let knownMs = changedMs();
  return () => {
    const nowMs = changedMs();
    if (nowMs === undefined || nowMs === knownMs) return undefined;
    knownMs = nowMs;
    try {
      return readSiteFile(file);
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      say(`its site file has changed, and cannot be followed: ${error.message}`);
      return undefined;
    }
  };
}

function withPaths(operator: NonNullable<Site['gridOperator']>, siteFile: string): NonNullable<Site['gridOperator']> {
  const at = <T extends { readonly file?: string | undefined }>(from: T): T =>
    from.file === undefined ? from : { ...from, file: path.resolve(path.dirname(siteFile), from.file) };
  return { ...operator, clientId: at(operator.clientId), clientSecret: at(operator.clientSecret) };
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
