import type { Quality } from '../figure.ts';

export interface EnergyEstimate {
  readonly energyWh: number;
  /** How the figure was got, in one sentence for the reader of a report. */
  readonly energyMethod: string;
  readonly gCO2e: number;
  readonly carbonMethod: string;
  /** Of energy and carbon together: as good as the worse of them. */
  readonly energyQuality: Quality;
}

/**
 * The last fallback, where no meter and no model of the machine is at hand: busy core seconds × assumed power of a busy core. It leaves out
 * idle power, memory, power supply and network.
 *
 * @param cpuS CPU seconds of all processes of the run
 * @param wattsPerCore electric power of one busy core, W
 * @param intensityGPerKWh carbon intensity of the electricity, gCO2e/kWh
 */
export function estimateEnergy(cpuS: number, wattsPerCore: number, intensityGPerKWh: number): EnergyEstimate {
  const energyWh = (cpuS * wattsPerCore) / 3600;
  return {
    energyWh,
    energyMethod: `estimated: ${cpuS.toFixed(0)} CPU seconds × ${wattsPerCore} W for each busy core (assumed; set energy.wattsPerCore)`,
    gCO2e: (energyWh / 1000) * intensityGPerKWh,
    carbonMethod: `location-based: ${intensityGPerKWh} g/kWh (assumed; set energy.intensityGPerKWh), operational only`,
    energyQuality: 'assumed',
  };
}
