import { type ChildProcess, fork } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { makeFolder } from '../../src/files.ts';
import type { Trial, TrialResult } from './trial.ts';

/** Results by trial, kept in a file as they come: a benchmark that was broken off goes on where it was. */
export class Results {
  readonly #file: string;
  readonly #known = new Map<string, TrialResult>();

  constructor(file: string) {
    this.#file = file;
    makeFolder(path.dirname(file));
    if (!existsSync(file)) return;
    const text = readFileSync(file, 'utf8');
    // A line that was cut off by the end of its process is done again, and nothing is written on behind it.
    if (text !== '' && !text.endsWith('\n')) appendFileSync(file, '\n');
    for (const line of text.split('\n')) {
      if (!line.endsWith('}')) continue;
      const { key, result } = JSON.parse(line) as { readonly key: string; readonly result: TrialResult };
      this.#known.set(key, result);
    }
  }

  of(trial: Trial): TrialResult | undefined {
    return this.#known.get(keyOf(trial));
  }

  keep(trial: Trial, result: TrialResult): void {
    this.#known.set(keyOf(trial), result);
    appendFileSync(this.#file, `${JSON.stringify({ key: keyOf(trial), result })}\n`);
  }
}

/** To be raised by a change that makes trials measure something else. */
const EPOCH = 3;
const keyOf = (trial: Trial): string =>
  JSON.stringify([EPOCH, trial], (_, value: unknown) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );

/** Runs trials in as many processes as there are cores. @param onResult told of each; an invalid one has an error */
export async function runTrials(
  trials: readonly Trial[],
  onResult: (trial: Trial, outcome: TrialResult | { readonly error: string }) => void,
): Promise<void> {
  const queue = [...trials];
  const workers = Array.from({ length: Math.min(availableParallelism(), trials.length) }, () => worker());
  await Promise.all(
    workers.map(async (child) => {
      for (let trial = queue.shift(); trial !== undefined; trial = queue.shift()) {
        onResult(trial, await ask(child, trial));
      }
      child.disconnect();
    }),
  );
}

const worker = (): ChildProcess =>
  fork(path.join(import.meta.dirname, 'worker.ts'), { execArgv: ['--disable-warning=ExperimentalWarning'] });

function ask(child: ChildProcess, trial: Trial): Promise<TrialResult | { readonly error: string }> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`a worker ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as TrialResult | { readonly error: string });
    });
    child.send(trial);
  });
}
