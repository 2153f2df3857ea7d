import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';

/** From where islands of a run were let in: these come first when strangers use up the connections. Nobody else may read it. */
const fileIn = (folder: string): string => path.join(folder, 'members.json');
const schema = z.array(z.string().max(64)).max(20_000);

/** What is damaged, or not there, counts as nothing: it only decides who comes first. */
export function readMembers(folder: string): readonly string[] {
  try {
    return schema.parse(JSON.parse(readFileSync(fileIn(folder), 'utf8')));
  } catch {
    return [];
  }
}

/** @returns writes them down. Where that fails, it is said once until it works again: no run ends for it */
export function membersWriter(folder: string, say: (sentence: string) => void): (addresses: readonly string[]) => void {
  let failed = false;
  return (addresses) => {
    try {
      writeWhole(fileIn(folder), JSON.stringify(addresses), 0o600);
      failed = false;
    } catch (error) {
      const why = error instanceof HelioError ? error.what : String(error);
      if (!failed) say(`From where islands came is not kept for a restart: ${why} The run goes on.`);
      failed = true;
    }
  };
}
