/** A home with panels, a battery and a grid: where every watt-hour goes. Pure. */
export {
  balance,
  balanceInto,
  type ComputeMayUse,
  checkHome,
  computeWh,
  emptyFlows,
  type FlowsBuffer,
  type Home,
  type HomeFlows,
  type HomeStep,
  importWh,
  type PvOrder,
} from './balance.ts';
export { type Battery, type BatteryState, batteryOf, checkBattery, checkStored, NO_BATTERY } from './battery.ts';
export { householdShare } from './household.ts';
export { hoursLeft, type ReserveWish, reserveWh } from './reserve.ts';
export { ALL_SOURCES, type ComputeRule, type HomeTraces, runHome } from './run.ts';
