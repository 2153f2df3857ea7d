/** What a run used and emitted, in two books that are never added. Pure. docs/energy-accounting.md. */
export { type CounterReading, energyBetween } from './counter.ts';
export { type EnergyEstimate, estimateEnergy } from './cpu-estimate.ts';
export {
  accountAfter,
  accountInterval,
  flowsOf,
  GRID_ONLY,
  gridStep,
  type HomeAccount,
  type IntervalInput,
  type MeteredStep,
  openAccount,
  withMeter,
} from './home-account.ts';
export {
  type AverageIntensity,
  averageG,
  type ContractIntensity,
  contractG,
  gPerKWhFromPoundsPerMWh,
  LIFECYCLE_G_PER_KWH,
  type MarginalIntensity,
  marginalG,
  ROOFTOP_PV,
} from './intensity.ts';
export {
  type BySource,
  type EnergyInterval,
  INTERVAL_MS,
  intervalLine,
  intervalSchema,
  readInterval,
  type Source,
  totalOf,
} from './interval.ts';
export { type MeasuredHome, splitMeasured } from './measured-split.ts';
export { type NetworkAssumption, networkEnergy, SUSTAINABLE_WEB_DESIGN } from './network.ts';
export { type About, type Flows, sourcesOf, type Tariff } from './record.ts';
export { IntervalRecorder } from './recorder.ts';
export { type EnergyReport, reportOf, type Share } from './report.ts';
export {
  type CarbonRate,
  type Embodied,
  embodiedG,
  providerScore,
  type RunCost,
  softwareCarbonIntensity,
} from './sci.ts';
export { type StoredCarbon, storedAt } from './stored-carbon.ts';
export { drawnWh, type MachineMade, NO_TOTALS, sumOfTotals, totalsOfRecord } from './totals.ts';
