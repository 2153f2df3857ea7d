import { HelioError } from '../../errors.ts';

/** What making a machine emitted, and which part of it a run used: ISO/IEC 21031, M = TE × (TiR / EL) × (RR / ToR). */
export interface Embodied {
  /** TE: of the whole machine, gCO2e, as its maker says. */
  readonly totalG: number;
  /** EL: how long it is expected to live, h. */
  readonly lifeHours: number;
  /** TiR: how long the run reserved it, h. */
  readonly reservedHours: number;
  /** RR / ToR: share of it that was reserved, above 0 up to 1. */
  readonly share: number;
}

/** @throws HelioError HELIO-1012 */
export function embodiedG({ totalG, lifeHours, reservedHours, share }: Embodied): number {
  const sound = totalG >= 0 && totalG < 1e12 && lifeHours > 0 && reservedHours >= 0 && share >= 0 && share <= 1;
  if (!sound || reservedHours > lifeHours)
    throw new HelioError(
      'HELIO-1012',
      `Embodied emissions were asked of ${totalG} g, ${reservedHours} of ${lifeHours} hours, share ${share}.`,
      'Give grams of the whole machine, hours reserved within its life, and the share of it from 0 to 1.',
    );
  return totalG * (reservedHours / lifeHours) * share;
}

/** Software Carbon Intensity, ISO/IEC 21031:2024: (O + M) per R. Location-based by its rules: no contracts, no offsets. */
export interface CarbonRate {
  readonly gPerUnit: number;
  readonly operationalG: number;
  readonly embodiedG: number;
  readonly units: number;
  readonly unit: string;
}

/** @throws HelioError HELIO-1012 when nothing was made: a rate per nothing is no figure */
export function softwareCarbonIntensity(
  operationalG: number,
  embodied: number,
  units: number,
  unit: string,
): CarbonRate {
  if (!(units > 0 && operationalG >= 0 && embodied >= 0))
    throw new HelioError(
      'HELIO-1012',
      `SCI was asked of ${operationalG} + ${embodied} g over ${units} ${unit}.`,
      'Give grams of 0 or more, and more than 0 units.',
    );
  return { gPerUnit: (operationalG + embodied) / units, operationalG, embodiedG: embodied, units, unit };
}

/** One run on the way to a model: also those that failed, that only tried something, or that evaluated. */
export interface RunCost {
  readonly operationalG: number;
  readonly embodiedG: number;
  readonly tokens: number;
  /** Whether its tokens are in the published model. */
  readonly inModel: boolean;
}

/**
 * SCI for AI, provider score per training token (Green Software Foundation, 2025): all runs count above the line. `gross` divides by every
 * token that was trained on, `effective` by those that the published model has seen: it charges the model with its failures.
 *
 * @throws HelioError HELIO-1012
 */
export function providerScore(runs: readonly RunCost[]): {
  readonly gross: CarbonRate;
  readonly effective: CarbonRate;
} {
  const sum = (value: (run: RunCost) => number): number => runs.reduce((total, run) => total + value(run), 0);
  const operationalG = sum((run) => run.operationalG);
  const embodied = sum((run) => run.embodiedG);
  const of = (tokens: number, unit: string) => softwareCarbonIntensity(operationalG, embodied, tokens, unit);
  return {
    gross: of(
      sum(({ tokens }) => tokens),
      'training token of all runs',
    ),
    effective: of(
      sum(({ tokens, inModel }) => (inModel ? tokens : 0)),
      'training token of the published model',
    ),
  };
}
