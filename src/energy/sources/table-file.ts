import { readFileSync, statSync } from 'node:fs';
import { HelioError } from '../../errors.ts';
import type { Points } from './points.ts';

export interface TableFile {
  readonly path: string;
  readonly time: string;
  readonly value: string;
  readonly stepMinutes: number;
}

const MOST_BYTES = 2 ** 25;

const wrong = (what: string, remedy: string): HelioError => new HelioError('HELIO-6203', what, remedy);

/**
 * Times and values of a CSV or JSON file. A row without a value is a gap; one without a time that can be read is refused.
 *
 * @param factor from the file's unit to ours
 * @throws HelioError HELIO-6203 with file and row
 */
export function readTable({ path, time, value, stepMinutes }: TableFile, factor: number): Points {
  let text: string;
  try {
    if (statSync(path).size > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw wrong(`${path} cannot be read: ${(error as Error).message}.`, 'Check `path`.');
  }
  const rows = path.endsWith('.json') ? jsonRows(path, text, time, value) : csvRows(path, text, time, value);
  const points = rows.map(([at, said], i) => {
    // Without an offset a time means another moment on each machine.
    const atMs = /T.*(Z|[+-]\d\d:?\d\d)$/.test(at) ? Date.parse(at) : Number.NaN;
    if (Number.isNaN(atMs))
      throw wrong(`${path}, row ${i + 1}: "${at.slice(0, 60)}" is no time.`, 'Write it like 2026-06-20T18:00Z.');
    if (said.trim() === '') return [atMs, Number.NaN] as const;
    const number = Number(said);
    if (!Number.isFinite(number))
      throw wrong(`${path}, row ${i + 1}: "${said.slice(0, 60)}" is no number.`, 'Leave it empty if it is not known.');
    return [atMs, number * factor] as const;
  });
  return { stepMs: stepMinutes * 60_000, points };
}

function csvRows(path: string, text: string, time: string, value: string): (readonly [string, string])[] {
  const [head = '', ...lines] = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const cells = (line: string): string[] => line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'));
  const columns = cells(head);
  const [timeAt, valueAt] = [columns.indexOf(time), columns.indexOf(value)];
  if (timeAt < 0 || valueAt < 0)
    throw wrong(
      `${path} has no column ${timeAt < 0 ? time : value}; it has ${columns.slice(0, 20).join(', ').slice(0, 300)}.`,
      'Name its columns as `time` and `value`.',
    );
  return lines.map((line) => {
    const row = cells(line);
    return [row[timeAt] ?? '', row[valueAt] ?? ''];
  });
}

function jsonRows(path: string, text: string, time: string, value: string): (readonly [string, string])[] {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw wrong(`${path} is no JSON: ${(error as Error).message}.`, 'Mend it.');
  }
  if (!Array.isArray(rows)) throw wrong(`${path} is no array.`, 'Give an array of objects.');
  return rows.map((row: unknown) => {
    const cell = new Map(Object.entries((row ?? {}) as Record<string, unknown>));
    return [String(cell.get(time) ?? ''), String(cell.get(value) ?? '')];
  });
}
