/** Of an inverter at its rated power, as PVWatts v5 has it by default. */
export const NOMINAL_EFFICIENCY = 0.96;

const REFERENCE_EFFICIENCY = 0.9637;

export interface InverterPower {
  readonly acW: number;
  /** What the panels could have given, after conversion, and the inverter's rating throws away. */
  readonly clippedW: number;
}

/**
 * From DC to AC. PVWatts v5, equations 11 to 13. What the inverter itself needs at night is not counted.
 *
 * @param inverterW rated AC power
 */
export function inverterPower(dcW: number, inverterW: number): InverterPower {
  if (dcW <= 0) return { acW: 0, clippedW: 0 };
  const load = (dcW * NOMINAL_EFFICIENCY) / inverterW;
  const efficiency = (NOMINAL_EFFICIENCY / REFERENCE_EFFICIENCY) * (-0.0162 * load - 0.0059 / load + 0.9858);
  // Past its rating the curve is that of the rating: it was measured no further.
  const convertedW = dcW * (load > 1 ? NOMINAL_EFFICIENCY : Math.max(0, efficiency));
  const acW = Math.min(convertedW, inverterW);
  return { acW, clippedW: convertedW - acW };
}

/**
 * What may go to the grid under an export limit, and what is thrown away for it.
 *
 * @param usedW of the power, in the house and into its battery
 * @param exportLimitW none when undefined
 */
export function exportWithin(
  acW: number,
  usedW: number,
  exportLimitW: number | undefined,
): { readonly exportW: number; readonly curtailedW: number } {
  const surplusW = Math.max(0, acW - usedW);
  const exportW = Math.min(surplusW, exportLimitW ?? surplusW);
  return { exportW, curtailedW: surplusW - exportW };
}
