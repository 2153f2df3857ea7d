import { globSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';

/** Which files a corpus is, by the names that a run file or a command line gives, and what they hold by their endings. */

/** Whether a path is a glob. */
export const GLOB = /[*?[{]/;

/** What a file holds: one text, or a document a line. */
export type CorpusKind = 'text' | 'lines';

/** By the ending. Any other than those of lines is a text; what is packed as .json is lines, as the large corpora have it. */
export const kindOf = (file: string): CorpusKind =>
  /\.(jsonl|ndjson)$|\.(jsonl|ndjson|json)\.(gz|zst)$|\.parquet$/i.test(file) ? 'lines' : 'text';

export type Packing = 'gzip' | 'Zstandard' | 'Parquet';

/** How a file has to be unpacked before it can be read by place. */
export function packingOf(file: string): Packing | undefined {
  const ending = path.extname(file).toLowerCase();
  return ending === '.gz' ? 'gzip' : ending === '.zst' ? 'Zstandard' : ending === '.parquet' ? 'Parquet' : undefined;
}

/** What a folder is searched for. */
const IN_FOLDERS = ['**/*.{txt,md,jsonl,ndjson,parquet}', '**/*.{txt,md,jsonl,ndjson,json}.{gz,zst}'];

/**
 * Files that a path, a folder or a glob names, in order of their names.
 *
 * @param base folder that a relative one starts from; what is in its own name is no pattern
 * @throws HelioError HELIO-1003 when there are none, unless there may be none
 */
export function filesOf(
  pattern: string,
  base: string,
  none: 'is an error' | 'may be none' = 'is an error',
): readonly string[] {
  const absolute = path.resolve(base, pattern);
  const found = GLOB.test(pattern) ? globSync(pattern, { cwd: base }).sort() : [pattern];
  const files = found.flatMap((name) => {
    const file = path.resolve(base, name);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    if (!stat.isDirectory()) return [file];
    const inside = globSync(IN_FOLDERS, { cwd: file }).sort();
    return inside.map((each) => path.join(file, each));
  });
  if (files.length > 0 || none === 'may be none') return files;
  throw new HelioError(
    'HELIO-1003',
    `The corpus ${pattern} (${absolute}) matches no file.`,
    'Correct data.paths; relative paths start at the folder of the run file.',
  );
}
