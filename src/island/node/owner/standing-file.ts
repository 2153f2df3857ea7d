import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type PolicyMemory, policyMemorySchema } from '../../../energy/policy/index.ts';
import type { OperatorStanding } from '../../../energy/sources/grid-operator.ts';
import { writeWhole } from '../../../files.ts';
import type { Governor } from '../../owner/governor.ts';

/** Without news they are written so often: a disk is no display. */
const WRITE_MS = 60_000;

/** What a site shows of itself to `heliotrope status`, and what its policy remembers over a restart. */
export class StandingFile {
  readonly #folder: string;
  readonly #site: string;
  #wroteMs = Number.NEGATIVE_INFINITY;
  #news = '';

  constructor(folder: string, site: string) {
    this.#folder = folder;
    this.#site = site;
  }

  /** @param meters how many quantities are measured @throws HelioError HELIO-3002 to 3004; it is written the next time */
  write(
    { decision: { standing, powerW }, memory }: Governor,
    meters: number,
    nowMs: number,
    gridOperator?: OperatorStanding | undefined,
  ): void {
    const news = `${standing.state} ${standing.reason} ${standing.next?.atS} ${memory.startsMs.join()} ${gridOperator?.problem}`;
    if (news === this.#news && Math.abs(nowMs - this.#wroteMs) < WRITE_MS) return;
    const shown = {
      site: this.#site,
      atMs: nowMs,
      standing,
      powerW,
      meters,
      ...(gridOperator === undefined ? {} : { gridOperator }),
    };
    writeWhole(path.join(this.#folder, 'standing.json'), `${JSON.stringify(shown)}\n`);
    writeWhole(memoryIn(this.#folder), `${JSON.stringify(memory)}\n`);
    this.#news = news;
    this.#wroteMs = nowMs;
  }
}

/** @returns undefined where there is none, or none that a policy can go on from; that is then said */
export function readMemory(folder: string, say: (sentence: string) => void): PolicyMemory | undefined {
  const file = memoryIn(folder);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  try {
    return policyMemorySchema.parse(JSON.parse(text));
  } catch {
    say(`${file} is damaged, and left out: delays and least times begin anew.`);
    return undefined;
  }
}

const memoryIn = (folder: string): string => path.join(folder, 'memory.json');
