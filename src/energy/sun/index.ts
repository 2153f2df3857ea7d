/** The sun and solar panels: `heliotrope/sun`. Pure, without a dependency. docs/sun.md. */
export { HelioError } from '../../errors.ts';
export { pressurePa, relativeAirMass } from './air.ts';
export { CELL_MODELS, type CellModel, cellTemperatureC, FAIMAN } from './cell-temperature.ts';
export { DEFAULT_LINKE_TURBIDITY, haurwitzWPerM2, type Irradiance, ineichenPerez } from './clear-sky.ts';
export { clearSkyWeather } from './clear-sky-weather.ts';
export { horizonAtDeg, skyViewShare } from './horizon.ts';
export { exportWithin, type InverterPower, inverterPower } from './inverter.ts';
export { completeIrradiance, erbsDiffuseShare, extraterrestrialWPerM2 } from './irradiance.ts';
export { combinedLossPercent, DEFAULT_LOSS_PERCENT, dcPowerW, LOSSES_PERCENT, PER_DEGREE } from './panel.ts';
export {
  ALBEDO,
  ashraeIncidenceFactor,
  effectiveWPerM2,
  glassIncidenceFactor,
  onPlane,
  type Plane,
  type PlaneIrradiance,
  planeOf,
  totalWPerM2,
} from './plane.ts';
export { type Place, type SunPosition, sunPosition } from './position.ts';
export { plantPower, pvPower, type SolarPlant, type SolarPower, solarPlant } from './power.ts';
export {
  checkPlace,
  checkSystem,
  MODULES,
  MOUNTINGS,
  type Module,
  type Mounting,
  type SolarArray,
  type SolarSystem,
} from './system.ts';
export { type SunTimes, sunTimes } from './times.ts';
export { checkWeather, type Weather } from './weather.ts';
