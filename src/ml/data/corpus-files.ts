import { globSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';

/** Which files a corpus is, by the names that a run file or a command line gives. */

/** Whether a path is a glob. */
export const GLOB = /[*?[{]/;

/** What a file holds: one text, or a document a line. */
export type CorpusKind = 'text' | 'lines';

/** By the file's ending. Any other is a text. */
export const kindOf = (file: string): CorpusKind => (/\.(jsonl|ndjson)$/i.test(file) ? 'lines' : 'text');

/** What a folder is searched for. */
const IN_FOLDERS = '**/*.{txt,md,jsonl,ndjson}';

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
