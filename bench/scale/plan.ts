import type { CodecName } from '../../src/protocol/codec-names.ts';
import type { SizeName } from '../quality/trial.ts';

/** What `bench scale` trains. A row is one setting; its inner rate is the best of those tried, by the validation half of the text and the mean of all seeds. */
export interface Row {
  readonly model: SizeName;
  /** Inner steps of each island. */
  readonly steps: number;
  /** Sequences a step and island. */
  readonly batch: number;
  readonly islands: number;
  /** Data-parallel when left out. */
  readonly outer?: Outer;
  readonly rates: readonly number[];
  /** Muon's. */
  readonly momentum: number;
  readonly seeds: readonly number[];
}

/** Rounds of all islands, Nesterov outside. */
export interface Outer {
  readonly innerSteps: number;
  readonly rate: number;
  readonly momentum: number;
  /** Both ways. */
  readonly codec: CodecName;
}

const SEEDS = [1, 2, 3];

const together = (model: SizeName, [steps, batch, islands]: Shape, rates: readonly number[], momentum = 0.9): Row => ({
  model,
  steps,
  batch,
  islands,
  rates,
  momentum,
  seeds: SEEDS,
});

const apart = (
  model: SizeName,
  shape: Shape,
  innerSteps: number,
  rates: readonly number[],
  { outer = {}, ...more }: Omit<Partial<Row>, 'outer'> & { readonly outer?: Partial<Outer> } = {},
): Row => ({
  ...together(model, shape, rates),
  ...more,
  outer: { innerSteps, rate: 0.8, momentum: 0.7, codec: 'int4', ...outer },
});

type Shape = readonly [steps: number, batch: number, islands: number];

/** Those that matter most come first: a machine may be lent for minutes only. */
export const ROWS: readonly Row[] = [
  together('small', [6400, 32, 4], [0.01, 0.015, 0.02]),
  apart('small', [6400, 32, 4], 52, [0.007, 0.01, 0.015]),
  apart('small', [6400, 32, 4], 104, [0.007, 0.01, 0.015]),
  // Few bytes want little momentum outside: it would run on what error feedback still holds back.
  apart('small', [6400, 32, 4], 134, [0.005, 0.01], { outer: { codec: 'int2', rate: 0.9, momentum: 0.5 }, seeds: [1] }),
  apart('small', [6400, 32, 4], 50, [0.005, 0.01], {
    outer: { codec: 'top-1/16+int4', rate: 1, momentum: 0 },
    seeds: [1],
  }),
  together('small', [1600, 32, 4], [0.03, 0.04, 0.06]),
  apart('small', [1600, 32, 4], 20, [0.015, 0.02, 0.03]),
  apart('small', [1600, 32, 4], 52, [0.015, 0.02, 0.03]),
  together('small', [6400, 32, 8], [0.01, 0.015, 0.02]),
  apart('small', [6400, 32, 8], 52, [0.007, 0.01, 0.015]),
  together('small', [1600, 32, 8], [0.02, 0.03, 0.045]),
  apart('small', [1600, 32, 8], 20, [0.015, 0.02, 0.03]),
  together('medium', [400, 8, 4], [0.02, 0.03, 0.045], 0.8),
  apart('medium', [400, 8, 4], 10, [0.015, 0.02, 0.03], { momentum: 0.8 }),
  together('medium', [400, 32, 4], [0.03, 0.045, 0.06], 0.8),
  apart('medium', [400, 32, 4], 10, [0.03, 0.045, 0.06], { momentum: 0.8 }),
];

/** One run of a row, as bench/scale/islands.py is told of it. */
export interface Run {
  readonly key: string;
  readonly seed: number;
  readonly rate: number;
  readonly momentum: number;
  readonly outer: Outer | null;
}

/** Runs of one shape: they are trained side by side, all in the same kernels. */
export interface Job {
  readonly model: SizeName;
  readonly steps: number;
  readonly batch: number;
  readonly islands: number;
  readonly together: boolean;
  readonly runs: readonly Run[];
}

export const keyOf = ({ rates: _, seeds: __, ...row }: Row, rate: number, seed: number): string =>
  JSON.stringify({ ...row, rate, seed });

export function jobsOf(rows: readonly Row[]): readonly Job[] {
  const jobs = new Map<string, Job>();
  for (const row of rows) {
    const { model, steps, batch, islands, momentum, outer, rates, seeds } = row;
    const shape = { model, steps, batch, islands, together: outer === undefined };
    const id = JSON.stringify(shape);
    const runs = rates.flatMap((rate) =>
      seeds.map((seed) => ({ key: keyOf(row, rate, seed), seed, rate, momentum, outer: outer ?? null })),
    );
    jobs.set(id, { ...shape, runs: [...(jobs.get(id)?.runs ?? []), ...runs] });
  }
  return [...jobs.values()];
}
