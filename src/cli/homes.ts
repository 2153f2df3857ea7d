import { readFileSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { type HomeRecord, type HomeTotals, homeRecordSchema, totalsOf } from '../simulate/home-records.ts';
import { type HomesFile, parseHomes } from '../simulate/homes-file.ts';

/** @throws HelioError HELIO-1011 with file, line and column, or why it cannot be read */
export function readHomes(file: string): HomesFile {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    throw new HelioError(
      'HELIO-1011',
      `The homes file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      'examples/homes.yaml is one to start from.',
      { cause: error },
    );
  }
  return parseHomes(source, file);
}

/** What a home of a run did, quarter by quarter. A line that was cut off is left out. */
export function readHomeRecords(folder: string, home: string): readonly HomeRecord[] {
  let text: string;
  try {
    text = readFileSync(path.join(folder, 'islands', home, 'energy.jsonl'), 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      const result = homeRecordSchema.safeParse(JSON.parse(line));
      return result.success ? [result.data] : [];
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
    return { totals: totalsOf(name, records), timeZone: location.timeZone, records };
  });
}
