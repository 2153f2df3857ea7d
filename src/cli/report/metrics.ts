import { createReadStream } from 'node:fs';
import { logParts } from '../log-file.ts';
import type { LiveRecord } from '../records.ts';

/** A line that is longer is none of ours. */
const MOST_LINE = 16 * 2 ** 20;

/**
 * The records of a run's metrics.jsonl, one after the other; lines that were cut off are left out. The files are read in pieces: they may be of any
 * length.
 *
 * @param kinds only these; all where none are named
 */
export async function* streamMetrics(
  folder: string,
  kinds?: readonly LiveRecord['kind'][],
): AsyncGenerator<LiveRecord> {
  const marks = kinds?.map((kind) => `"kind":"${kind}"`);
  for (const file of logParts(folder, 'metrics.jsonl')) {
    for await (const line of linesOf(file)) {
      if (marks?.some((mark) => line.includes(mark)) === false) continue;
      const record = parsed(line);
      if (record !== undefined && kinds?.includes(record.kind) !== false) yield record;
    }
  }
}

function parsed(line: string): LiveRecord | undefined {
  try {
    const record: unknown = JSON.parse(line);
    return typeof record === 'object' && record !== null && 'kind' in record ? (record as LiveRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** @returns the lines of a file, but those that are too long; none where it is not there */
async function* linesOf(file: string): AsyncGenerator<string> {
  let begun: string[] = [];
  let length = 0;
  const end = (): string | undefined => {
    const line = length > MOST_LINE ? undefined : begun.join('');
    [begun, length] = [[], 0];
    return line;
  };
  const goOn = (part: string): void => {
    length += part.length;
    if (length <= MOST_LINE) begun.push(part);
    else begun = [];
  };
  try {
    for await (const piece of createReadStream(file, { encoding: 'utf8', highWaterMark: 2 ** 18 })) {
      const [first, ...others] = (piece as string).split('\n') as [string, ...string[]];
      goOn(first);
      for (const part of others) {
        const line = end();
        if (line !== undefined) yield line;
        goOn(part);
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const last = end();
  if (last !== undefined && last !== '') yield last;
}

/** Islands and points that a report draws at most. */
const MOST_CURVES = 64;
const MOST_POINTS = 2_000;

/** What a report draws of a run: [step, loss]. */
export interface Curves {
  readonly validation: readonly (readonly [number, number])[];
  readonly training: ReadonlyMap<string, readonly (readonly [number, number])[]>;
}

/** Read from metrics.jsonl; of a long run every second point, or every fourth … */
export async function readCurves(folder: string): Promise<Curves> {
  const validation = new Thinned();
  const training = new Map<string, Thinned>();
  for await (const record of streamMetrics(folder, ['evaluation', 'progress'])) {
    if (record.kind === 'evaluation') validation.add(record.runStep, record.loss);
    if (record.kind !== 'progress') continue;
    const { island, progress } = record;
    if (!training.has(island) && training.size < MOST_CURVES) training.set(island, new Thinned());
    // An island that rests from its first moment on has no loss yet.
    if (progress.tokens > 0) training.get(island)?.add(progress.step, progress.loss);
  }
  return {
    validation: validation.points,
    training: new Map([...training].map(([island, { points }]) => [island, points])),
  };
}

/** A curve of a bounded number of points: when it is full, every second goes, and from then on every second comes. */
class Thinned {
  points: (readonly [number, number])[] = [];
  #every = 1;
  #seen = 0;

  add(x: number, y: number): void {
    if (this.#seen++ % this.#every !== 0) return;
    this.points.push([x, y]);
    if (this.points.length < MOST_POINTS) return;
    this.points = this.points.filter((_, i) => i % 2 === 0);
    this.#every *= 2;
  }
}
