import { readFileSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { parse } from 'yaml';
import { explainSystemError, HelioError } from '../errors.ts';

/**
 * Options of a command that were not given on the command line: from the environment (`HELIOTROPE_PORT` for `--port`), and then from the file that
 * `--config` names, a YAML mapping by the options' names.
 *
 * @throws HelioError HELIO-1006 naming the place, the value and what is allowed
 */
export function configure(command: Command, environment: NodeJS.ProcessEnv): void {
  const open = command.options.filter((option) =>
    ['default', undefined].includes(command.getOptionValueSource(option.attributeName())),
  );
  const file = command.opts<{ config?: string }>().config ?? environment.HELIOTROPE_CONFIG;
  const settings = file === undefined ? {} : readSettings(file, command);
  for (const option of open) {
    const variable = `HELIOTROPE_${option.name().replaceAll('-', '_').toUpperCase()}`;
    const fromEnvironment = environment[variable];
    const fromFile = settings[option.name()];
    if (fromEnvironment !== undefined && fromEnvironment !== '') set(command, option, fromEnvironment, variable);
    else if (fromFile !== undefined) set(command, option, fromFile, `${file}: ${option.name()}`);
  }
}

function readSettings(file: string, command: Command): Readonly<Record<string, unknown>> {
  let settings: unknown;
  try {
    settings = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw explainSystemError(error, `read ${file}`);
    throw new HelioError(
      'HELIO-1006',
      `${file} is not YAML: ${String(error)}`,
      'Mend it and run the same command again.',
    );
  }
  const known = command.options.map((option) => option.name());
  if (settings === null || typeof settings !== 'object' || Array.isArray(settings)) {
    const remedy = `Write one option a line, for example \`port: 7420\`.`;
    throw new HelioError('HELIO-1006', `${file} is no mapping of options.`, remedy);
  }
  const unknown = Object.keys(settings).find((key) => !known.includes(key));
  if (unknown === undefined) return settings as Readonly<Record<string, unknown>>;
  throw new HelioError(
    'HELIO-1006',
    `${file}: unknown option ${unknown}.`,
    `Options of ${command.name()}: ${known.join(', ')}.`,
  );
}

function set(command: Command, option: Option, given: unknown, place: string): void {
  const values = Array.isArray(given) ? given : [given];
  try {
    let value: unknown;
    for (const each of values) value = parsed(option, each, value);
    command.setOptionValueWithSource(option.attributeName(), value, 'config');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HelioError(
      'HELIO-1006',
      `${place} is ${JSON.stringify(given)}. ${why}`,
      `It is what --${option.name()} takes.`,
    );
  }
}

/** As commander does with what stands on the command line. */
function parsed(option: Option, given: unknown, before: unknown): unknown {
  // Commander calls only those boolean that do not begin with no.
  if (option.isBoolean() || option.negate) {
    const yes = given === true || given === 'true' || given === '1';
    const no = given === false || given === 'false' || given === '0';
    if (!yes && !no) throw new Error('It must be true or false.');
    return yes !== option.negate;
  }
  if (given === null || typeof given === 'object') throw new Error('It must be a single value.');
  const text = String(given);
  const parse = option.parseArg as ((value: string, before: unknown) => unknown) | undefined;
  return parse === undefined ? text : parse(text, before);
}
