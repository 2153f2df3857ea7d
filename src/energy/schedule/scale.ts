/** `npm run bench energy -- --only returns`: 1.37, 2.0, 2.9 and 3.1 of 2, 4, 8 and 16 islands, by the small model in 200 steps. */
const RETURNS_EXPONENT = 0.45;

/**
 * Useful tokens an hour of j islands, as a multiple of one island's, for j = 0 … 64: how many times as long one island alone would have to train for the
 * same loss. Measured as a power of j; a job that knows better gives its own.
 */
export const MEASURED_RETURNS: readonly number[] = Array.from({ length: 65 }, (_, j) => j ** RETURNS_EXPONENT);

export interface ScaleJob {
  /** Useful tokens. */
  readonly tokens: number;
  /** Of one island in one slot. */
  readonly tokensPerSlot: number;
  readonly whPerIslandSlot: number;
  /** g/kWh of each slot before the deadline; NaN: unknown, not used. */
  readonly intensityGPerKWh: readonly number[];
  readonly maxIslands: number;
  /** `returns[j]`: multiple of one island's tokens; its differences must not grow. */
  readonly returns?: readonly number[];
}

export type ScalePlan =
  | {
      readonly kind: 'plan';
      readonly islands: readonly number[];
      readonly tokens: number;
      readonly grams: number;
      readonly unknownSlots: number;
    }
  | {
      readonly kind: 'infeasible';
      readonly rule: 'deadline';
      readonly message: string;
      readonly fallback: 'rule-control';
    }
  | { readonly kind: 'refused'; readonly message: string; readonly fallback: 'rule-control' };

/** CarbonScaler (Hanafy et al. 2023, algorithm 1): how many islands in each slot, by marginal useful tokens per gram. */
export function scaleByCarbon(job: ScaleJob): ScalePlan {
  const { tokens, tokensPerSlot, whPerIslandSlot, intensityGPerKWh, maxIslands, returns = MEASURED_RETURNS } = job;
  const refused = (message: string): ScalePlan => ({ kind: 'refused', message, fallback: 'rule-control' });
  for (const [name, value] of Object.entries({ tokens, tokensPerSlot, whPerIslandSlot }))
    if (!(value > 0 && Number.isFinite(value))) return refused(`${name} is ${value}; give a number above 0.`);
  if (!Number.isInteger(maxIslands) || maxIslands < 1 || maxIslands >= returns.length)
    return refused(`maxIslands is ${maxIslands}; the curve of returns goes from 1 to ${returns.length - 1}.`);
  const gain = (j: number): number => returns[j]! - returns[j - 1]!;
  for (let j = 1; j <= maxIslands; j++)
    if (!(gain(j) > 0) || (j > 1 && gain(j) > gain(j - 1) + 1e-12))
      return refused(
        `The curve of returns gains ${gain(j)} from island ${j}; each must add something, and no more than the one before.`,
      );
  const bad = intensityGPerKWh.findIndex((g) => g < 0 || g === Number.POSITIVE_INFINITY);
  if (bad >= 0)
    return refused(
      `The intensity of slot ${bad} is ${intensityGPerKWh[bad]} g/kWh; give 0 or more, or NaN where unknown.`,
    );
  const islands = intensityGPerKWh.map(() => 0);
  const candidates: { readonly slot: number; readonly j: number; readonly gramsPerToken: number }[] = [];
  for (const [slot, g] of intensityGPerKWh.entries())
    if (!Number.isNaN(g))
      for (let j = 1; j <= maxIslands; j++)
        candidates.push({ slot, j, gramsPerToken: (whPerIslandSlot * g) / 1000 / (gain(j) * tokensPerSlot) });
  candidates.sort((a, b) => a.gramsPerToken - b.gramsPerToken || a.j - b.j || a.slot - b.slot);
  let made = 0;
  let grams = 0;
  for (const { slot, j, gramsPerToken } of candidates) {
    if (made >= tokens) break;
    islands[slot] = j;
    made += gain(j) * tokensPerSlot;
    grams += gramsPerToken * gain(j) * tokensPerSlot;
  }
  const unknownSlots = intensityGPerKWh.filter((g) => Number.isNaN(g)).length;
  if (made < tokens * (1 - 1e-12))
    return {
      kind: 'infeasible',
      rule: 'deadline',
      message: `All ${maxIslands} islands in every known slot make ${Math.floor(made)} of ${tokens} tokens. Move the deadline, or add islands.`,
      fallback: 'rule-control',
    };
  return { kind: 'plan', islands, tokens: made, grams, unknownSlots };
}
