import { existsSync } from 'node:fs';
import { type Figure, publish } from '../figures.ts';
import { curtail } from './curtail.ts';
import { fleet } from './fleet.ts';
import { homes } from './homes.ts';
import { returns } from './returns.ts';
import { schedule } from './schedule.ts';
import type { Section } from './section.ts';
import { signals } from './signals.ts';
import { sun } from './sun.ts';
import { training } from './training.ts';

const SECTIONS: readonly Section[] = [sun, homes, schedule, fleet, curtail, signals, returns, training];

/** Energy: how near its models are to what others publish, and what they cost. `only` names sections; `data` a folder with real traces. */
export async function energy(options: {
  readonly short: boolean;
  readonly json: string | undefined;
  readonly only: readonly string[];
  readonly data: string | undefined;
}): Promise<boolean> {
  const { only, data, json, short } = options;
  const startedAt = new Date();
  const known = SECTIONS.map(({ id }) => id);
  const unknown = only.filter((id) => !known.includes(id));
  if (unknown.length > 0) {
    console.error(`No section ${unknown.join(', ')}: --only takes ${known.join(', ')}.`);
    return false;
  }
  if (data !== undefined && !existsSync(data)) {
    console.error(`No folder ${data}: --data names the one with real traces, or is left out.`);
    return false;
  }
  const figures: Figure[] = [];
  for (const section of SECTIONS)
    if (only.length === 0 || only.includes(section.id)) figures.push(...(await section.figures({ data, short })));
  publish('energy', startedAt, figures, json);
  return true;
}
