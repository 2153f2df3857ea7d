import { HelioError } from '../../errors.ts';
import { describeFault, firstFault, parseYaml } from '../../yaml-document.ts';
import { type MeterTemplate, templateSchema } from './template.ts';

/** Longest template that is read. */
export const TEMPLATE_BYTES = 200_000;
const PUBLISHED = 'schema/meter-template.schema.json';

/**
 * @param source YAML (or JSON) text
 * @param file its name, for messages
 * @throws HelioError HELIO-6103 with file, line and column
 */
export function parseTemplate(source: string, file: string): MeterTemplate {
  if (source.length > TEMPLATE_BYTES)
    throw new HelioError(
      'HELIO-6103',
      `${file} has ${source.length} characters; ${TEMPLATE_BYTES} at most.`,
      `${PUBLISHED} says what a template may hold.`,
    );
  return parseYaml(source, {
    file,
    schema: templateSchema,
    code: 'HELIO-6103',
    published: `${PUBLISHED}; docs/meters.md says how to write one`,
  });
}

/** A checked file whose settings are filled in is checked again: a setting may be no port, or no quantity. */
export function checkFilled(filled: unknown, name: string): MeterTemplate {
  const result = templateSchema.safeParse(filled);
  if (result.success) return result.data;
  throw new HelioError(
    'HELIO-6103',
    `${name}, with its settings: ${describeFault(firstFault(result.error))}.`,
    'Correct the setting.',
  );
}
