import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { HelioError } from '../../errors.ts';
import type { ExampleSet } from './examples.ts';
import { parquetRows } from './parquet.ts';

/** Tables in CSV or Parquet: columns become features, one column (or several) what is to be predicted. */

/** What a column is: a number, or one of some names, each of which becomes a feature of 0 or 1. */
export type Column =
  | { readonly name: string; readonly kind: 'number' }
  | { readonly name: string; readonly kind: 'category'; readonly values: readonly string[] };

/** How a table is read: decided once for a run, so that every island lays out its features alike. */
export interface TableLayout {
  readonly features: readonly Column[];
  /** A category for classes; numbers for a regression. */
  readonly targets: readonly Column[];
}

type Row = Readonly<Record<string, unknown>>;

/** Most values that a column of names may have. */
const MAX_CATEGORIES = 256;
/** What a table in Parquet may unpack to. */
const MAX_PARQUET_BYTES = 2 ** 34;
const MAX_CSV_BYTES = 2 ** 29 - 24;

/** @throws HelioError HELIO-1003 when a file is unreadable, of another kind, or empty */
export async function readRows(files: readonly string[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const file of files) for (const row of await readFile(file)) rows.push(row);
  if (rows.length === 0) throw unusable(files.join(', '), 'it has no rows');
  return rows;
}

async function readFile(file: string): Promise<readonly Row[]> {
  try {
    if (file.endsWith('.parquet')) return await parquetRows(file, MAX_PARQUET_BYTES);
    if (!/\.[ct]sv$/.test(file)) throw unusable(file, 'its name ends neither in .csv, .tsv nor .parquet');
    const bytes = readFileSync(file);
    if (bytes.length > MAX_CSV_BYTES)
      throw unusable(file, `it has ${bytes.length} bytes; tables beyond 512 MB belong into Parquet`);
    const delimiter = file.endsWith('.tsv') ? '\t' : ',';
    return parse(bytes, { columns: true, delimiter, skip_empty_lines: true, trim: true, bom: true }) as Row[];
  } catch (error) {
    if (error instanceof HelioError) throw error;
    throw unusable(file, error instanceof Error ? error.message.replace(/\.$/, '') : String(error));
  }
}

/**
 * Decides what each column is, from all rows.
 *
 * @param targets names of the columns to predict
 * @param task classification takes the values of one column as classes; regression takes numbers
 * @throws HelioError HELIO-1003 when a column is missing, or is neither numbers nor a few names
 */
export function layOut(
  rows: readonly Row[],
  targets: readonly string[],
  task: 'classification' | 'regression',
  source: string,
): TableLayout {
  const names = Object.keys(rows[0]!);
  const missing = targets.find((target) => !names.includes(target));
  if (missing !== undefined)
    throw unusable(source, `it has no column ${missing} to predict; it has ${names.slice(0, 20).join(', ')}`);
  if (task === 'classification' && targets.length > 1)
    throw unusable(source, `${targets.join(', ')} are several columns of classes, and one is predicted`);
  return {
    features: names.filter((name) => !targets.includes(name)).map((name) => columnOf(rows, name, source)),
    targets: targets.map((name) =>
      task === 'classification' ? categoriesOf(rows, name, source) : ({ name, kind: 'number' } as const),
    ),
  };
}

/**
 * A column that is mostly numbers is one of numbers: what else it holds is a mistake, which {@link toExamples} shows with
 * its row, and not a name.
 */
function columnOf(rows: readonly Row[], name: string, source: string): Column {
  const given = rows.map((row) => row[name]).filter((value) => !isBlank(value));
  const numbers = given.filter((value) => Number.isFinite(numberOf(value)));
  return numbers.length > given.length / 2 ? { name, kind: 'number' } : categoriesOf(rows, name, source);
}

function categoriesOf(rows: readonly Row[], name: string, source: string): Column {
  const given = rows.map((row) => row[name]).filter((value) => !isBlank(value));
  const values = [...new Set(given.map(String))].sort((a, b) => numberOf(a) - numberOf(b) || (a < b ? -1 : 1));
  if (values.length <= MAX_CATEGORIES) return { name, kind: 'category', values };
  throw unusable(
    source,
    `column ${name} has ${values.length} different values, and neither numbers nor at most ${MAX_CATEGORIES} names`,
  );
}

/** @throws HelioError HELIO-1003 with row and column of a value that is missing, no finite number, or unknown */
export function toExamples(rows: readonly Row[], layout: TableLayout, source: string): ExampleSet {
  const width = layout.features.reduce((sum, column) => sum + (column.kind === 'number' ? 1 : column.values.length), 0);
  const [first] = layout.targets;
  const classes = first?.kind === 'category' ? first : undefined;
  const features = new Float64Array(rows.length * width);
  const targets =
    classes === undefined ? new Float64Array(rows.length * layout.targets.length) : new BigInt64Array(rows.length);
  rows.forEach((row, number) => {
    const where = `${source}, row ${number + 1}`;
    let at = number * width;
    for (const column of layout.features) {
      if (column.kind === 'number') features[at++] = finite(row[column.name], column.name, where);
      else {
        features[at + indexOf(column, row[column.name], where)] = 1;
        at += column.values.length;
      }
    }
    if (classes !== undefined) targets[number] = BigInt(indexOf(classes, row[classes.name], where));
    else
      layout.targets.forEach(({ name }, i) => {
        targets[number * layout.targets.length + i] = finite(row[name], name, where);
      });
  });
  const outputs = classes === undefined ? layout.targets.length : classes.values.length;
  return { count: rows.length, shape: [width], features, targets, outputs };
}

function finite(value: unknown, column: string, where: string): number {
  const number = numberOf(value);
  if (!isBlank(value) && Number.isFinite(number)) return number;
  throw refused(value, column, where, 'a finite number');
}

const refused = (value: unknown, column: string, where: string, needed: string): HelioError =>
  new HelioError(
    'HELIO-1003',
    `${where}: ${column} is ${isBlank(value) ? 'missing' : JSON.stringify(String(value))}, and ${needed} is needed.`,
    'Fill it, remove the row, or leave the column out.',
  );

function indexOf(column: Column & { readonly kind: 'category' }, value: unknown, where: string): number {
  if (isBlank(value)) throw refused(value, column.name, where, 'a name');
  const index = column.values.indexOf(String(value));
  if (index !== -1) return index;
  throw new HelioError(
    'HELIO-1003',
    `${where}: ${column.name} is ${JSON.stringify(String(value))}, which the run does not know.`,
    `It knows ${column.values.slice(0, 20).join(', ')}; add rows with the value to the coordinator's table, or remove these.`,
  );
}

const isBlank = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
const numberOf = (value: unknown): number =>
  typeof value === 'bigint' || typeof value === 'boolean'
    ? Number(value)
    : typeof value === 'number'
      ? value
      : Number(String(value));

const unusable = (source: string, detail: string): HelioError =>
  new HelioError(
    'HELIO-1003',
    `The table ${source} cannot be used: ${detail}.`,
    'Correct the table, or data in the run file.',
  );
