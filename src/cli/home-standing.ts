import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { readOverride } from '../island/node/owner/control-file.ts';
import { standingSchema } from '../protocol/standing.ts';
import { type CommandContext, print, printJson } from './context.ts';
import { duration } from './live/format.ts';
import { sanitized } from './terminal-text.ts';

/** What the island of this machine's home last said of itself. */

const shownSchema = z.object({
  site: z.string().max(63),
  atMs: z.number().min(0).max(8.64e15),
  standing: standingSchema,
  powerW: z.number().min(0).max(1e9),
  gridOperator: z.object({ isHeard: z.boolean(), problem: z.string().max(2_000).nullable() }).optional(),
});
export type HomeStanding = z.output<typeof shownSchema>;

/** It is written once a minute at least: older is of an island that has ended. */
const RUNNING_MS = 150_000;

/** @returns undefined where no island of a home has run here, or its file is damaged */
export function readStanding(folder: string): HomeStanding | undefined {
  try {
    return shownSchema.parse(JSON.parse(readFileSync(path.join(folder, 'standing.json'), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Says where the home stands. */
export function showHome(shown: HomeStanding, folder: string, { json }: CommandContext): number {
  const nowMs = Date.now();
  const agoS = Math.max(0, (nowMs - shown.atMs) / 1000);
  const isRunning = Math.abs(nowMs - shown.atMs) < RUNNING_MS;
  const { standing, powerW, site, gridOperator } = shown;
  if (json) {
    printJson({ ...shown, isRunning, override: readOverride(folder) });
    return isRunning ? 0 : 1;
  }
  if (!isRunning) print(`${site}: no island runs here; ${duration(agoS)} ago it said:`);
  const power = standing.state === 'training' ? ` · ${Math.round(powerW)} W at most` : '';
  print(`${isRunning ? `${site}: ` : '  '}${sanitized(standing.state)}${power} · ${standing.reason}`);
  if (standing.next !== null) print(`  ${sanitized(standing.next.what, 300)}`);
  if (gridOperator !== undefined && !gridOperator.isHeard)
    print(`  the grid operator is not heard: ${sanitized(gridOperator.problem ?? 'not yet', 300)}`);
  const fix = isRunning ? standing.fix : `heliotrope join LINK --site ${path.join(folder, 'site.yaml')}`;
  if (fix !== null) print(`  ${sanitized(fix, 500)}`);
  return isRunning ? 0 : 1;
}
