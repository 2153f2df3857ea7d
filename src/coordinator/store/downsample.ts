/** Numbers that islands count, made fewer as they are kept: pure but for the buckets that are open. */

/** Of a metric in a bucket of time: how many values, their least, greatest, sum, and the last of them. */
export type Point = readonly [count: number, min: number, max: number, sum: number, last: number];
export type Points = Readonly<Record<string, Point>>;

/** @property island '' for the run as a whole */
export interface Bucket {
  readonly island: string;
  readonly resolutionS: ResolutionS;
  /** When it begins, in seconds since 1970: a multiple of its resolution. */
  readonly bucketS: number;
  readonly points: Points;
}

export type ResolutionS = 10 | 60 | 600;
/** From fine to coarse, and how long each is kept: an hour of ten seconds, a day of minutes, the rest in ten minutes. */
export const RESOLUTIONS: readonly { readonly resolutionS: ResolutionS; readonly keptS: number }[] = [
  { resolutionS: 10, keptS: 3_600 },
  { resolutionS: 60, keptS: 86_400 },
  { resolutionS: 600, keptS: Number.POSITIVE_INFINITY },
];

/** Buckets that wait to be stored at most; beyond, the oldest are lost, and counted. */
const MOST_CLOSED = 100_000;

/** A clock that was set back by more than this does not reach the bucket that is open for too long: it begins another. */
const SET_BACK_S = 600;

export const bucketOf = (atS: number, resolutionS: number): number => Math.floor(atS / resolutionS) * resolutionS;

export const joinPoints = (a: Points, b: Points): Points => {
  const joined: Record<string, Point> = Object.assign(Object.create(null), a);
  for (const [name, [count, min, max, sum, last]] of Object.entries(b)) {
    const before = joined[name];
    joined[name] =
      before === undefined
        ? [count, min, max, sum, last]
        : [before[0] + count, Math.min(before[1], min), Math.max(before[2], max), before[3] + sum, last];
  }
  return joined;
};

interface Open {
  bucketS: number;
  points: Points;
}

/** Gathers values of each island into buckets of the finest resolution, and each that is over into one of the next. */
export class Downsampler {
  /** Of each island the bucket that is open, by level of resolution. */
  readonly #open = new Map<string, (Open | undefined)[]>();
  #closed: Bucket[] = [];
  #lost = 0;

  /**
   * Goes on from what was stored: what is over at one level and not yet in a bucket of the next. So nothing is missing from the coarse
   * ones after a restart.
   */
  seed(stored: readonly Bucket[]): void {
    const known = new Set(stored.map(({ island, resolutionS, bucketS }) => `${resolutionS} ${bucketS} ${island}`));
    for (const bucket of stored.toSorted((a, b) => a.bucketS - b.bucketS)) {
      const level = RESOLUTIONS.findIndex(({ resolutionS }) => resolutionS === bucket.resolutionS) + 1;
      const coarser = RESOLUTIONS[level]?.resolutionS;
      if (coarser === undefined) continue;
      const bucketS = bucketOf(bucket.bucketS, coarser);
      if (!known.has(`${coarser} ${bucketS} ${bucket.island}`)) this.#add(bucket.island, level, bucketS, bucket.points);
    }
  }

  add(island: string, values: Readonly<Record<string, number>>, atS: number): void {
    const points: Record<string, Point> = {};
    for (const [name, value] of Object.entries(values)) points[name] = [1, value, value, value, value];
    this.#add(island, 0, bucketOf(atS, RESOLUTIONS[0]!.resolutionS), points);
  }

  /** Closes the buckets that are over. */
  tick(nowS: number): void {
    for (const [island, levels] of this.#open) {
      for (const [level, { resolutionS }] of RESOLUTIONS.entries()) {
        const open = levels[level];
        if (open === undefined) continue;
        if (open.bucketS + resolutionS <= nowS || open.bucketS > nowS + SET_BACK_S) this.#close(island, level);
      }
      if (levels.every((open) => open === undefined)) this.#open.delete(island);
    }
  }

  /** Closes the finest of all buckets, before an end: the coarser ones follow from them. */
  closeFinest(): void {
    for (const [island, levels] of this.#open) if (levels[0] !== undefined) this.#close(island, 0);
  }

  /** Takes buckets that are over, the oldest first. */
  take(most: number): readonly Bucket[] {
    return this.#closed.splice(0, most);
  }

  get waiting(): number {
    return this.#closed.length;
  }

  /** @returns buckets that were lost since the last call, as too many waited */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  #add(island: string, level: number, bucketS: number, points: Points): void {
    const levels = this.#open.get(island) ?? [];
    this.#open.set(island, levels);
    const before = levels[level]?.bucketS ?? bucketS;
    // A clock that was set back a little goes on in the bucket that is open.
    if (before < bucketS || before > bucketS + SET_BACK_S) this.#close(island, level);
    const open = levels[level];
    if (open === undefined) levels[level] = { bucketS, points };
    else open.points = joinPoints(open.points, points);
  }

  #close(island: string, level: number): void {
    const levels = this.#open.get(island)!;
    const { bucketS, points } = levels[level]!;
    levels[level] = undefined;
    this.#closed.push({ island, resolutionS: RESOLUTIONS[level]!.resolutionS, bucketS, points });
    if (this.#closed.length > MOST_CLOSED) {
      // Many at once, as each time costs a copy of the rest.
      this.#lost += this.#closed.splice(0, MOST_CLOSED / 10).length;
    }
    const coarser = RESOLUTIONS[level + 1];
    if (coarser !== undefined) this.#add(island, level + 1, bucketOf(bucketS, coarser.resolutionS), points);
  }
}
