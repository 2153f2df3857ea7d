import type { Module } from './system.ts';

/** What a degree above 25 °C does to the power. Dobos, PVWatts Version 5 Manual (NREL/TP-6A20-62641, 2014), table 2. */
export const PER_DEGREE: Readonly<Record<Module, number>> = {
  standard: -0.0047,
  premium: -0.0035,
  'thin-film': -0.002,
};

/**
 * Of an array, before losses, W. PVWatts v5, equation 8.
 *
 * @param effectiveWPerM2 what gets to the cells
 */
export function dcPowerW(peakW: number, effectiveWPerM2: number, cellC: number, perDegree: number): number {
  return Math.max(0, ((peakW * effectiveWPerM2) / 1000) * (1 + perDegree * (cellC - 25)));
}

/** In %: PVWatts' list, in its order. */
export const LOSSES_PERCENT = {
  soiling: 2,
  shading: 3,
  snow: 0,
  mismatch: 2,
  wiring: 2,
  connections: 0.5,
  lightInducedDegradation: 1.5,
  nameplate: 1,
  age: 0,
  availability: 3,
} as const;

/** Losses one after the other, %: each takes its part of what the ones before have left. PVWatts v5, equation 9. */
export const combinedLossPercent = (percents: Iterable<number>): number => {
  let left = 1;
  for (const percent of percents) left *= 1 - percent / 100;
  return 100 * (1 - left);
};

/** As PVWatts writes it: {@link LOSSES_PERCENT} combined are 14.0757. */
export const DEFAULT_LOSS_PERCENT = 14.08;
