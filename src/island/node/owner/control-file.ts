import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { Override } from '../../../energy/policy/index.ts';
import { makeFolder, writeWhole } from '../../../files.ts';

/** What the owner last said by hand: a file, so that it outlives the island and every restart, and any program of the owner's may write it. */

const overrideSchema = z.strictObject({
  kind: z.enum(['pause', 'resume', 'drain']),
  untilMs: z.number().min(0).max(8.64e15).nullable(),
});

const fileIn = (folder: string): string => path.join(folder, 'control.json');

/** @returns null where there is none, or none that can be read */
export function readOverride(folder: string): Override | null {
  try {
    const result = overrideSchema.safeParse(JSON.parse(readFileSync(fileIn(folder), 'utf8')));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}

/** @param override null takes back what was said */
export function writeOverride(folder: string, override: Override | null): void {
  makeFolder(folder);
  if (override === null) rmSync(fileIn(folder), { force: true });
  else writeWhole(fileIn(folder), `${JSON.stringify(override)}\n`);
}
