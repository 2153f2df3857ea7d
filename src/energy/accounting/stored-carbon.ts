import type { Battery } from '../home/battery.ts';

/** What a battery holds, with the emissions that came with it: it gives back the mean of what charged it, and its losses cost more grams. */
export interface StoredCarbon {
  readonly energyWh: number;
  readonly grams: number;
}

/** @param gPerKWh of what was stored before anybody counted: assumed */
export const storedAt = (energyWh: number, gPerKWh: number): StoredCarbon => ({
  energyWh,
  grams: (energyWh / 1000) * gPerKWh,
});

/** @param wh at the home's wires, before the loss of charging */
export function charged(stored: StoredCarbon, wh: number, gPerKWh: number, battery: Battery): StoredCarbon {
  return {
    energyWh: stored.energyWh + wh * battery.chargeEfficiency,
    grams: stored.grams + (wh / 1000) * gPerKWh,
  };
}

/**
 * Takes `wh` at the home's wires out. In a battery that is charged and emptied at one intensity, what comes out has it ÷ round-trip efficiency.
 *
 * @param otherwiseGPerKWh of what the battery gave and was not known to hold: a meter's drift
 * @returns what is left, and the grams that go with what was taken
 */
export function discharged(
  stored: StoredCarbon,
  wh: number,
  battery: Battery,
  otherwiseGPerKWh: number,
): { readonly stored: StoredCarbon; readonly grams: number } {
  const takenWh = wh / battery.dischargeEfficiency;
  const knownWh = Math.min(takenWh, stored.energyWh);
  const grams = stored.energyWh > 0 ? stored.grams * (knownWh / stored.energyWh) : 0;
  return {
    stored: { energyWh: stored.energyWh - knownWh, grams: stored.grams - grams },
    grams: grams + ((takenWh - knownWh) / 1000) * otherwiseGPerKWh,
  };
}

/** The same mean in what a meter says that the battery holds. */
export function anchored(stored: StoredCarbon, energyWh: number, otherwiseGPerKWh: number): StoredCarbon {
  if (stored.energyWh <= 0) return storedAt(energyWh, otherwiseGPerKWh);
  return { energyWh, grams: stored.grams * (energyWh / stored.energyWh) };
}
