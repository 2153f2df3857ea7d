import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import type { MeterTemplate } from './template.ts';
import { parseTemplate, TEMPLATE_BYTES } from './template-file.ts';

/** Where the shipped templates are, from source and from `dist` alike. */
const FOLDER = path.resolve(import.meta.dirname, '../../../data/meters');
const ENDING = '.yaml';

/** Names of the shipped templates. */
export const templateNames = (): readonly string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith(ENDING))
    .map((file) => file.slice(0, -ENDING.length))
    .toSorted();

/**
 * @param nameOrFile a shipped template, or a file of one's own (with a slash, a backslash, or an ending)
 * @throws HelioError HELIO-6103
 */
export function readTemplate(nameOrFile: string): MeterTemplate {
  const shipped = templateNames();
  if (shipped.includes(nameOrFile)) return parse(path.join(FOLDER, `${nameOrFile}${ENDING}`), nameOrFile);
  if (/[/\\]|\.(ya?ml|json)$/.test(nameOrFile)) return parse(nameOrFile, nameOrFile);
  throw new HelioError(
    'HELIO-6103',
    `There is no meter template ${nameOrFile}.`,
    `\`heliotrope meters list\` shows all ${shipped.length}; a file of your own is named with its ending, as ./${nameOrFile}.yaml.`,
  );
}

function parse(file: string, shown: string): MeterTemplate {
  let source: string;
  try {
    if (statSync(file).size > TEMPLATE_BYTES)
      throw new HelioError('HELIO-6103', `${shown} is larger than ${TEMPLATE_BYTES} bytes.`, 'That is no template.');
    source = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof HelioError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new HelioError('HELIO-6103', `The template ${shown} cannot be read (${code}).`, 'Check its name and mode.', {
      cause: error,
    });
  }
  return parseTemplate(source, shown);
}
