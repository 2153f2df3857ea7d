import type { Mounting } from './system.ts';

/** How a cell warms in the sun and cools in the wind. */
export type CellModel =
  /** Sandia's: King, Boyson and Kratochvil (2004), equations 11 and 12. */
  | { readonly kind: 'sapm'; readonly a: number; readonly b: number; readonly deltaTC: number }
  /** Faiman (2008): heat is lost at u0 + u1 × wind, W/(m² K). */
  | { readonly kind: 'faiman'; readonly u0: number; readonly u1: number };

/** Faiman's mean of seven kinds of module on open racks. */
export const FAIMAN: CellModel = { kind: 'faiman', u0: 25, u1: 6.84 };

/**
 * Open rack with a polymer back and close to the roof with glass on both sides are Sandia's own. On ballast less heat gets away than on
 * a rack, by 0.0208 / 0.026, the ratio of the Ross coefficients in Skoplaki and Palyvos (2008).
 */
export const CELL_MODELS: Readonly<Record<Mounting, CellModel>> = {
  rack: { kind: 'sapm', a: -3.56, b: -0.075, deltaTC: 3 },
  roof: { kind: 'sapm', a: -2.98, b: -0.0471, deltaTC: 1 },
  'flat-roof': { kind: 'faiman', u0: 25 * 0.8, u1: 6.84 * 0.8 },
};

/**
 * @param poaWPerM2 on the plane of the array, before the glass
 * @param windMPerS ten metres above the ground for SAPM; at the panel for Faiman
 */
export function cellTemperatureC(model: CellModel, poaWPerM2: number, airC: number, windMPerS: number): number {
  switch (model.kind) {
    case 'sapm':
      return airC + poaWPerM2 * Math.exp(model.a + model.b * windMPerS) + (poaWPerM2 / 1000) * model.deltaTC;
    case 'faiman':
      return airC + poaWPerM2 / (model.u0 + model.u1 * windMPerS);
  }
}
