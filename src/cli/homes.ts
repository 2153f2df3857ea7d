import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type EnergyInterval, readInterval } from '../energy/accounting/index.ts';
import { type HomeRecord, type HomeTotals, homeRecordSchema, totalsOf } from '../simulate/home-records.ts';
import { type HomesFile, parseHomes } from '../simulate/homes-file.ts';
import { readSource } from './source-file.ts';

/** @throws HelioError HELIO-1011 with file, line and column, or why it cannot be read */
export function readHomes(file: string): HomesFile {
  const where = 'examples/homes.yaml is one to start from.';
  return parseHomes(readSource(file, { code: 'HELIO-1011', what: 'homes file', where }), file);
}

/** What a home of a run did, quarter by quarter. A line that was cut off is left out. */
export const readHomeRecords = (folder: string, home: string): readonly HomeRecord[] =>
  readLines(folder, home, 'day.jsonl', (line) => homeRecordSchema.parse(JSON.parse(line)));

/** What a home of a run used and emitted. A line that was cut off is left out, and so is time that a clock that was set back has counted before. */
export function readHomeIntervals(folder: string, home: string): readonly EnergyInterval[] {
  let untilMs = 0;
  return readLines(folder, home, 'energy.jsonl', readInterval).filter(({ startMs, endMs }) => {
    if (startMs < untilMs) return false;
    untilMs = endMs;
    return true;
  });
}

function readLines<Line>(
  folder: string,
  home: string,
  name: string,
  read: (line: string, where: string) => Line,
): readonly Line[] {
  const file = path.join(folder, 'islands', home, name);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line, i) => {
    try {
      return [read(line, `${file} line ${i + 1}`)];
    } catch {
      return [];
    }
  });
}

/** A home as the report shows it. */
export interface ReportedHome {
  readonly totals: HomeTotals;
  readonly timeZone: string;
  readonly records: readonly HomeRecord[];
}

export function reportedHomes(folder: string, { homes }: HomesFile): readonly ReportedHome[] {
  return homes.map(({ name, location }) => {
    const records = readHomeRecords(folder, name);
    return { totals: totalsOf(name, records, readHomeIntervals(folder, name)), timeZone: location.timeZone, records };
  });
}
