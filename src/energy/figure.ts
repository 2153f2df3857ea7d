/** How a figure was got. No figure of energy or carbon is shown without it. */
export const QUALITIES = ['measured', 'modelled', 'assumed'] as const;

/**
 * - `measured`: a meter said so.
 * - `modelled`: computed from something measured, by a formula that is named (sun and weather to a panel's power).
 * - `assumed`: nobody measured anything: a default, or what somebody typed.
 */
export type Quality = (typeof QUALITIES)[number];

/** Where a figure comes from, in words for the person who reads it. */
export interface Origin {
  readonly quality: Quality;
  /** The formula, device or file, in one short phrase: `RAPL package-0`, `PVWatts v5 on a clear sky × 0.7`. */
  readonly method: string;
  /** Of a published factor or forecast: the year, or the time at which it was issued. */
  readonly vintage?: string;
  /** What it stands in for, and why that was not there; nothing when it is the first choice. */
  readonly insteadOf?: string;
}

/** Whatever is made of several figures is as good as the worst of them. */
export const worstQuality = (qualities: Iterable<Quality>): Quality => {
  let worst = 0;
  for (const quality of qualities) worst = Math.max(worst, QUALITIES.indexOf(quality));
  return QUALITIES[worst]!;
};
