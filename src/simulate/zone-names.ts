import { ZONES } from '../energy/grid/index.ts';

/** Synthetic grids that a simulated home may have. */
export const ZONE_NAMES: readonly string[] = ZONES.map(({ name }) => name);
