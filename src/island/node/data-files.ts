import { realpathSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { filesOf, GLOB } from '../../ml/data/corpus-files.ts';
import type { Job } from '../../protocol/run-file.ts';
import { type DataAccess, namedData, readsHeldOut, withOwnData } from '../own-data.ts';

/**
 * The files that a job's data are read from. A run file comes from a host, and names what it likes: before anything of it is looked up on an
 * island's disk, it has to lie inside a folder that the island's owner named.
 */

/** Bounds on a host's glob patterns: larger ones could keep an island busy for ever. */
const MAX_PATTERN_CHARS = 1_024;
const MAX_STARS = 8;
/** Paths of a host that a message shows, and how much of each. */
const SHOWN = 5;
const SHOWN_CHARS = 200;

/** Files of a job whose reader trusts it: globs and folders of text are expanded; of images the images, then their labels. */
export const trustedFiles = (job: Job, folder: string): readonly string[] =>
  namedData(job).flatMap((named) => ('paths' in job.data ? filesOf(named, folder) : [path.resolve(folder, named)]));

/** Files that an island trains on, and those whose held-out part it validates on. */
export interface IslandFiles {
  readonly training: readonly string[];
  /** Whether they are the owner's: all of them is trained on, no shard of them. */
  readonly own: boolean;
  /** The run's; null where the island does not validate. */
  readonly run: readonly string[] | null;
}

/**
 * What an island may read for a job.
 *
 * @throws HelioError HELIO-1007 when the run asks for other files, HELIO-1003 when the owner's own are not there
 */
export function islandFiles(job: Job, access: DataAccess): IslandFiles {
  if (access.kind === 'inside') {
    const run = permittedFiles(job, access.folders);
    return { training: run, own: false, run };
  }
  return {
    training: trustedFiles(withOwnData(job, access), process.cwd()),
    own: true,
    run: readsHeldOut(access) ? permittedFiles(job, access.folders) : null,
  };
}

/** Files that a job names, where they lie inside folders that the owner named. */
function permittedFiles(job: Job, named: readonly string[]): readonly string[] {
  const folders = named.map(realFolder);
  if (folders.length === 0) {
    throw new HelioError(
      'HELIO-1007',
      `The run asks for ${shown(namedData(job))}, and this island reads no file that a host names.`,
      'Join with files of your own, --data ./my-texts, or name the folder in which the run may read: --data-root ./folder.',
    );
  }
  return namedData(job).flatMap((asked) => permitted(asked, folders, 'paths' in job.data));
}

/** Files that one path or glob of a host names, from the first folder that has some. */
function permitted(named: string, folders: readonly string[], expands: boolean): readonly string[] {
  const isGlob = expands && GLOB.test(named);
  if (named.length > MAX_PATTERN_CHARS || named.includes('\0') || (isGlob && !isBounded(named)))
    throw refused(named, folders);
  for (const folder of folders) {
    const place = path.resolve(folder, named);
    // As text first: to look a foreign path up may already tell somebody, as on a network share.
    if (!isInside(place, folder)) continue;
    const begin = real(isGlob ? fixedPart(place, folder) : place);
    if (begin === undefined) continue;
    if (!isInsideOne(begin, folders)) throw refused(named, folders);
    const found = expands ? filesOf(path.relative(folder, place) || '.', folder, 'may be none') : [place];
    const files = found.map((file) => realpathSync(file));
    if (!files.every((file) => isInsideOne(file, folders))) throw refused(named, folders);
    if (files.length > 0) return files;
  }
  throw refused(named, folders);
}

/** A glob that neither climbs (`{..,x}`) nor takes for ever to match: one group of alternatives, a few stars. */
const isBounded = (glob: string): boolean =>
  !/\{[^}]*\.\./.test(glob) &&
  !/[@!+]\(|\[[^\]]*[.\\/]/.test(glob) &&
  glob.split('{').length <= 2 &&
  glob.split('*').length <= MAX_STARS + 1;

/** The folder that a glob searches. */
function fixedPart(glob: string, folder: string): string {
  const segments = path.relative(folder, glob).split(path.sep);
  const magic = segments.findIndex((segment) => GLOB.test(segment));
  return path.join(folder, ...segments.slice(0, magic));
}

function realFolder(folder: string): string {
  const found = real(folder);
  if (found !== undefined) return found;
  throw new HelioError('HELIO-1006', `--data-root ${folder} is not there.`, 'Name a folder that holds the data.');
}

/** Where a path leads, all symbolic links followed; undefined where there is nothing. */
function real(place: string): string | undefined {
  try {
    return realpathSync(place);
  } catch {
    return undefined;
  }
}

const isInsideOne = (place: string, folders: readonly string[]): boolean =>
  folders.some((folder) => isInside(place, folder));

function isInside(place: string, folder: string): boolean {
  const way = path.relative(folder, place);
  return way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}

/** The same message whether a file is missing or unreadable: the host must not learn what is on the disk. */
const refused = (named: string, folders: readonly string[]): HelioError =>
  new HelioError(
    'HELIO-1007',
    `The run asks for ${shown([named])}, which is nothing inside ${folders.join(', ')}.`,
    'Name the folder that holds it, --data-root ./folder, or join with files of your own: --data ./my-texts.',
  );

/** A host's paths for a terminal: few, short, and without what would move its cursor. */
function shown(named: readonly string[]): string {
  const some = named.slice(0, SHOWN).map((each) => JSON.stringify(each.slice(0, SHOWN_CHARS).replace(/\p{C}/gu, '?')));
  return `${some.join(', ')}${named.length > SHOWN ? ` and ${named.length - SHOWN} more` : ''}`;
}
