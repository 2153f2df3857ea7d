import { readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { Machine } from '../coordinator/server/peer.ts';
import type { Traffic } from '../coordinator/server/traffic-counter.ts';
import { writeWhole } from '../files.ts';

/**
 * What hosting a run has cost so far, over all processes that hosted it: a run that was resumed has cost what each of them did. Islands count their
 * own work, and the coordinator's state keeps it; this is the rest.
 */
export interface Costs {
  /** When the first of the processes began, ISO 8601. */
  readonly startedAt: string;
  /** Seconds for which the run was hosted. */
  readonly wallS: number;
  /** CPU seconds of the coordinator. */
  readonly cpuS: number;
  /** By island; sent and received are the coordinator's. */
  readonly traffic: ReadonlyMap<string, Traffic>;
  /** What each island computed with. */
  readonly machines: ReadonlyMap<string, Machine>;
}

const FILE = 'costs.json';
/** A process that is killed loses what it counted since. */
const EVERY_MS = 20_000;

const amount = z.number().nonnegative();
const costsSchema = z.object({
  startedAt: z.iso.datetime(),
  wallS: amount,
  cpuS: amount,
  traffic: z.array(z.tuple([z.string(), z.object({ sentBytes: amount, receivedBytes: amount })])),
  machines: z
    .array(
      z.tuple([
        z.string(),
        z.object({ host: z.enum(['process', 'tab', 'cluster']), device: z.string(), threads: z.int() }),
      ]),
    )
    .default([]),
});

/** From when on a process counts. */
export interface Since {
  readonly date: Date;
  readonly ms: number;
  readonly cpu: NodeJS.CpuUsage;
}

export const countFromNow = (): Since => ({ date: new Date(), ms: performance.now(), cpu: process.cpuUsage() });

export function cpuSecondsSince({ cpu }: Since): number {
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 1e6;
}

export interface CostCounterOptions {
  readonly folder: string;
  readonly since: Since;
  /** Names of the run's islands, and what each exchanged in all. */
  readonly traffic: () => Iterable<readonly [string, Traffic]>;
  readonly machines: () => Iterable<readonly [string, Machine]>;
  readonly say: (sentence: string) => void;
}

/** Counts on from what earlier processes wrote down, and writes down what this one adds. */
export class CostCounter {
  readonly #options: CostCounterOptions;
  readonly #earlier: Costs | undefined;
  readonly #timer: NodeJS.Timeout;
  #isFailing = false;

  constructor(options: CostCounterOptions, earlier: Costs | undefined) {
    this.#options = options;
    this.#earlier = earlier;
    this.#timer = setInterval(() => this.#write(), EVERY_MS).unref();
  }

  now(): Costs {
    const { since, traffic, machines } = this.#options;
    return {
      startedAt: this.#earlier?.startedAt ?? since.date.toISOString(),
      wallS: (this.#earlier?.wallS ?? 0) + (performance.now() - since.ms) / 1000,
      cpuS: (this.#earlier?.cpuS ?? 0) + cpuSecondsSince(since),
      traffic: new Map(traffic()),
      machines: new Map(machines()),
    };
  }

  close(): Costs {
    clearInterval(this.#timer);
    return this.#write();
  }

  /** A failed write is reported once, and the run goes on: a report is not worth a run. */
  #write(): Costs {
    const { folder, say } = this.#options;
    const costs = this.now();
    const { traffic, machines, ...rest } = costs;
    try {
      writeWhole(path.join(folder, FILE), JSON.stringify({ ...rest, traffic: [...traffic], machines: [...machines] }));
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) say(`What this run costs could not be written down: ${String(error)}`);
      this.#isFailing = true;
    }
    return costs;
  }
}

/** What earlier processes wrote down; nothing of a run that begins. What cannot be read is set aside, as a figure of a report is not worth a run. */
export function earlierCosts(folder: string, say: (sentence: string) => void): Costs | undefined {
  const file = path.join(folder, FILE);
  try {
    const { traffic, machines, ...rest } = costsSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return { ...rest, traffic: new Map(traffic), machines: new Map(machines) };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    const without = 'What this run cost before is left out of its report';
    try {
      renameSync(file, `${file}.damaged`);
      say(`${without}: ${FILE} is damaged, and is kept as ${FILE}.damaged.`);
    } catch {
      say(`${without}: ${FILE} cannot be read, and cannot be set aside.`);
    }
    return undefined;
  }
}
