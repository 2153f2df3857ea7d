import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeWhole } from '../src/files.ts';
import type { Figure } from './figures.ts';
import { describeMachine, thisMachine } from './machine.ts';

interface Line {
  readonly key: string;
  readonly figures: readonly Figure[];
}

/**
 * Figures of a benchmark that takes long, kept part by part: one that was stopped goes on where it was, on the same machine and the same sources.
 * With sources that are not committed nothing is taken over.
 */
export class Kept {
  readonly #file: string;
  readonly #about: string | undefined;

  constructor(file: string) {
    this.#file = file;
    const commit = commitOf();
    this.#about = commit === undefined ? undefined : `${commit} ${describeMachine(thisMachine())}`;
  }

  /** What `measure` found, now or before; each figure is printed as it comes. */
  async of(part: string, measure: () => Promise<readonly Figure[]>): Promise<readonly Figure[]> {
    const key = `${part} ${this.#about}`;
    const before = this.#about === undefined ? undefined : this.#read().find((line) => line.key === key);
    if (before !== undefined) console.error(`${part}: as measured before (delete ${this.#file} to measure it again)`);
    const figures = before?.figures ?? (await measure());
    for (const { id, value, unit, met } of figures)
      console.error(`  ${id}: ${Number(value.toPrecision(4))} ${unit}${met === false ? '  MISSED' : ''}`);
    if (before === undefined && this.#about !== undefined) {
      const lines = [...this.#read(), { key, figures }].map((line) => `${JSON.stringify(line)}\n`);
      writeWhole(this.#file, lines.join(''));
    }
    return figures;
  }

  #read(): readonly Line[] {
    if (!existsSync(this.#file)) return [];
    return readFileSync(this.#file, 'utf8')
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
  }
}

/** Undefined where there is no git, or something is not committed. */
function commitOf(): string | undefined {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('status', '--porcelain', 'src', 'bench', 'package-lock.json') === ''
      ? git('rev-parse', 'HEAD')
      : undefined;
  } catch {
    return undefined;
  }
}
