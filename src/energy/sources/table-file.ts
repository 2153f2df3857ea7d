import { readFileSync, statSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { HelioError } from '../../errors.ts';

export interface TableFile {
  readonly path: string;
  /** Name of the column of the times. */
  readonly time: string;
  readonly stepMinutes: number;
}

/** Rows in the order of their times. */
export type TableRow = readonly [startMs: number, ...values: number[]];

const MOST_BYTES = 2 ** 25;

const wrong = (what: string, remedy: string): HelioError => new HelioError('HELIO-6203', what, remedy);

/**
 * Times and values of a CSV or JSON file. A cell that is empty, and a row that is not there, are gaps; a row that cannot be read, or is of
 * the same time as another or less than a step behind it, is refused.
 *
 * @param columns names of the columns of values
 * @throws HelioError HELIO-6203 with file and row
 */
export function readTable({ path, time, stepMinutes }: TableFile, columns: readonly string[]): readonly TableRow[] {
  let text: string;
  try {
    if (statSync(path).size > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw wrong(`${path} cannot be read: ${(error as Error).message}.`, 'Check `path`.');
  }
  const names = [time, ...columns];
  const cells = path.endsWith('.json') ? jsonCells(path, text, names) : csvCells(path, text, names);
  const rows = cells.map(([at = '', ...said], i) => ({
    row: i + 1,
    values: [timeOf(at, path, i + 1), ...said.map((cell) => numberOf(cell, path, i + 1))] as const,
  }));
  rows.sort((a, b) => a.values[0] - b.values[0]);
  for (const [i, { row, values }] of rows.entries()) {
    const before = rows[i - 1];
    if (before === undefined) continue;
    const minutes = (values[0] - before.values[0]) / 60_000;
    if (minutes === 0)
      throw wrong(`${path}: rows ${before.row} and ${row} are of the same time.`, 'Keep the one that is right.');
    if (minutes < stepMinutes)
      throw wrong(
        `${path}: rows ${before.row} and ${row} are ${minutes} min apart, and a row is to hold for ${stepMinutes} min.`,
        `Set stepMinutes: ${minutes}, or mend the times.`,
      );
  }
  return rows.map(({ values }) => values);
}

function timeOf(said: string, path: string, row: number): number {
  // Without an offset a time means another moment on each machine.
  const atMs = /T.*(Z|[+-]\d\d:?\d\d)$/.test(said) ? Date.parse(said) : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  throw wrong(`${path}, row ${row}: "${said.slice(0, 60)}" is no time.`, 'Write it like 2026-06-20T18:00Z.');
}

function numberOf(said: string, path: string, row: number): number {
  if (said.trim() === '') return Number.NaN;
  const value = Number(said);
  if (Number.isFinite(value)) return value;
  throw wrong(`${path}, row ${row}: "${said.slice(0, 60)}" is no number.`, 'Leave it empty if it is not known.');
}

type Cells = readonly (readonly string[])[];

function csvCells(path: string, text: string, names: readonly string[]): Cells {
  let rows: string[][];
  try {
    rows = parse(text, { bom: true, trim: true, skip_empty_lines: true });
  } catch (error) {
    throw wrong(`${path} cannot be read as CSV: ${(error as Error).message.replace(/\.$/, '')}.`, 'Mend it there.');
  }
  const [head = [], ...lines] = rows;
  const places = names.map((name) => head.indexOf(name));
  const missing = names[places.indexOf(-1)];
  if (missing !== undefined)
    throw wrong(
      `${path} has no column ${missing}; it has ${head.slice(0, 20).join(', ').slice(0, 300)}.`,
      'Name its columns in the site file, or in its first line. A comma stands between cells.',
    );
  return lines.map((row) => places.map((place) => row[place]!));
}

function jsonCells(path: string, text: string, names: readonly string[]): Cells {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw wrong(`${path} is no JSON: ${(error as Error).message}.`, 'Mend it.');
  }
  if (!Array.isArray(rows)) throw wrong(`${path} is no array.`, 'Give an array of objects.');
  return rows.map((row: unknown) => {
    const cell = new Map(Object.entries((row ?? {}) as Record<string, unknown>));
    return names.map((name) => String(cell.get(name) ?? ''));
  });
}
