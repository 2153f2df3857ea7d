export { FORECAST_ERRORS, type ForecastError, forecastFrom, meanAbsoluteShare } from './forecast.ts';
export { type SyntheticGrid, syntheticGrid } from './synthetic.ts';
export { pricePerKWhAt, priceSeries, type Tariff } from './tariff.ts';
export { CLIMATES, type Climate, type Sky, type SkyOptions, syntheticSky, weatherUnder } from './weather.ts';
export { ZONES, type Zone, zoneOf } from './zones.ts';
