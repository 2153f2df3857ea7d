import { readFileSync } from 'node:fs';
import {
  MACHINE,
  type Outcome,
  openNamedMeter,
  type Quantity,
  readTemplate,
  type Settings,
  templateNames,
} from '../../energy/meters/index.ts';
import { type Finding, sanityFindings } from '../../energy/site/sanity.ts';
import { sunPosition } from '../../energy/sun/index.ts';
import { explainSystemError, HelioError } from '../../errors.ts';
import { type CommandContext, colorful, print, printJson } from '../context.ts';
import { sanitized } from '../terminal-text.ts';

export interface CheckOptions {
  readonly host?: string;
  readonly port?: number;
  readonly set?: readonly string[];
  readonly at?: { readonly latitudeDeg: number; readonly longitudeDeg: number };
  readonly peak?: number;
}

/** One line for each template. */
export function listMeters(context: CommandContext): number {
  const templates = templateNames().map((name) => {
    const { about, source, settings } = readTemplate(name);
    return { name, about, source, settings };
  });
  if (context.json) {
    printJson({ templates });
    return 0;
  }
  print(
    `${MACHINE.padEnd(24)} ${'system'.padEnd(15)} the machine itself: RAPL, nvidia-smi, powermetrics, battery, or its load`,
  );
  for (const { name, source, about } of templates) print(`${name.padEnd(24)} ${source.padEnd(15)} ${about}`);
  print('Try one: heliotrope meters check NAME --host ADDRESS');
  return 0;
}

/** Reads a meter once, and says what there is, and what is wrong. */
export async function checkMeter(
  nameOrFile: string,
  { host, port, set, at, peak }: CheckOptions,
  context: CommandContext,
): Promise<number> {
  const given: Settings = {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...settingsOf(set ?? []),
  };
  const meter = await openNamedMeter(nameOrFile, given);
  let outcomes: readonly Outcome[];
  try {
    outcomes = await meter.read();
  } finally {
    await meter.close();
  }
  const sunElevationDeg =
    at === undefined ? undefined : 90 - sunPosition({ ...at, altitudeM: 0 }, Date.now()).apparentZenithDeg;
  const findings = sanityFindings({
    readings: Object.fromEntries(outcomes.flatMap((o) => (o.ok ? [[o.quantity, o.reading.value]] : []))),
    ...(sunElevationDeg === undefined ? {} : { sunElevationDeg }),
    ...(peak === undefined ? {} : { peakW: peak }),
  });
  const { notes } = meter;
  if (context.json) printJson({ meter: meter.name, values: outcomes.map(inJson), findings, notes });
  else show(meter.name, outcomes, findings, [...notes, ...(failed(outcomes) ? [hintOf(nameOrFile)] : [])], context);
  return exitCode(outcomes, findings);
}

/** What the owner of such a device has to switch on. */
const hintOf = (nameOrFile: string): string => (nameOrFile === MACHINE ? '' : (readTemplate(nameOrFile).notes ?? ''));

const failed = (outcomes: readonly Outcome[]): boolean => outcomes.some(({ ok }) => !ok);

function exitCode(outcomes: readonly Outcome[], findings: readonly Finding[]): number {
  for (const outcome of outcomes) if (!outcome.ok) return outcome.problem.exitCode;
  return findings.some(({ severity }) => severity === 'wrong') ? 1 : 0;
}

const inJson = (outcome: Outcome): unknown =>
  outcome.ok
    ? { ...outcome.reading, ageMs: outcome.ageMs ?? 0 }
    : { quantity: outcome.quantity, problem: outcome.problem.toJSON() };

function show(
  name: string,
  outcomes: readonly Outcome[],
  findings: readonly Finding[],
  notes: readonly string[],
  context: CommandContext,
): void {
  const colour = (code: number, text: string): string =>
    colorful(context.environment) ? `\u001b[${code}m${text}\u001b[39m` : text;
  print(sanitized(name));
  let said: HelioError | undefined;
  for (const outcome of outcomes) {
    const label = `  ${outcome.quantity.padEnd(15)}`;
    if (outcome.ok) {
      const { value, unit, origin } = outcome.reading;
      const age = Math.round((outcome.ageMs ?? 0) / 1_000);
      const how = `${origin.quality}${origin.method === name ? '' : `: ${sanitized(origin.method)}`}${age === 0 ? '' : ` · ${age} s old`}`;
      print(`${label}${amount(outcome.quantity, value, unit).padStart(14)}   ${how}`);
      if (origin.insteadOf !== undefined) print(`${' '.repeat(34)}instead of ${sanitized(origin.insteadOf)}`);
    } else if (outcome.problem === said) print(`${label}${colour(31, 'unknown'.padStart(14))}   as above`);
    else {
      said = outcome.problem;
      print(`${label}${colour(31, 'unknown'.padStart(14))}   ${said.code} ${sanitized(said.what)}`);
      print(`${' '.repeat(34)}${sanitized(said.remedy)}`);
    }
  }
  for (const { severity, what, remedy } of findings) {
    print(`${colour(severity === 'wrong' ? 31 : 33, severity)}: ${what}`);
    print(`  ${remedy}`);
  }
  for (const note of notes) if (note !== '') print(sanitized(note));
}

function amount(quantity: Quantity, value: number, unit: string): string {
  if (quantity === 'mains') return value === 1 ? 'on' : 'off';
  const [shown, as] = unit === 'Wh' && Math.abs(value) >= 10_000 ? [value / 1_000, 'kWh'] : [value, unit];
  const digits = Math.abs(shown) < 100 ? 1 : 0;
  return `${shown.toLocaleString('en', { maximumFractionDigits: digits }).replace('-', '−')} ${as === 'C' ? '°C' : as}`;
}

const MOST_SETTINGS = 50;

/** @throws HelioError HELIO-1006 */
function settingsOf(pairs: readonly string[]): Settings {
  const settings = new Map<string, string>();
  for (const pair of pairs.slice(0, MOST_SETTINGS)) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw new HelioError('HELIO-1006', `--set ${pair} sets nothing.`, 'Write it as --set key=value.');
    const text = pair.slice(equals + 1);
    settings.set(pair.slice(0, equals), text.startsWith('@') ? secretOf(text.slice(1)) : text);
  }
  return Object.fromEntries(settings);
}

/** A secret on a command line is seen by everybody on the machine: it may be in a file. */
function secretOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw explainSystemError(error, `read ${file}`);
  }
}
