import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/** What is left of islands of other names on this machine. */
export interface Remaining {
  /** Folders of their runs. */
  readonly folders: number;
  readonly isKeyKept: boolean;
}

/**
 * Deletes what an island of this name kept of its runs, and the machine's key where no other island needs it.
 *
 * @param name undefined where nobody knows it: then nothing is deleted
 */
export function forgetIsland(state: string, name: string | undefined): Remaining {
  const islands = path.join(state, 'islands');
  const all = existsSync(islands) ? readdirSync(islands) : [];
  // RUN-NAME, and the name of a run ends with its number: my-attic is not attic.
  const own = name === undefined ? [] : all.filter((folder) => new RegExp(`-[0-9a-f]{8}-${name}$`).test(folder));
  for (const folder of own) rmSync(path.join(islands, folder), { recursive: true, force: true });
  const folders = all.length - own.length;
  if (folders === 0 && name !== undefined) rmSync(path.join(state, 'island.key'), { force: true });
  for (const folder of [islands, state]) if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
  return { folders, isKeyKept: existsSync(path.join(state, 'island.key')) };
}
