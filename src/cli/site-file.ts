import { readFileSync } from 'node:fs';
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
  return parseSite(source, file);
}
