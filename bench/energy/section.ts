import type { Figure } from '../figures.ts';

export interface Options {
  /** Folder with real traces; undefined where none was given. */
  readonly data: string | undefined;
  readonly short: boolean;
}

/** One file of this folder each. */
export interface Section {
  readonly id: string;
  readonly figures: (options: Options) => Promise<readonly Figure[]>;
}
