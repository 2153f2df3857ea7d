import type { Trial } from './trial.ts';

/** What the quality benchmark runs: sections of rows, each row one setting with several seeds. */

export interface Row {
  readonly name: string;
  /** For a plot: the row's place on the axis. */
  readonly x?: number;
  /** The row of the section that it is compared with, where that is another than the section's. */
  readonly beside?: string;
  readonly trial: Omit<Trial, 'seed'>;
}

export interface Section {
  readonly id: string;
  readonly title: string;
  /** What its rows are compared with: the name of one of them. */
  readonly baseline?: string;
  readonly axis?: { readonly label: string; readonly logarithmic?: boolean };
  readonly seeds: readonly number[];
  readonly rows: readonly Row[];
}
