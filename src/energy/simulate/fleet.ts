import { CLIMATES, syntheticGrid, syntheticSky, weatherUnder, ZONES, type Zone } from '../grid/index.ts';
import { hash, noise, seedOf } from '../grid/noise.ts';
import { batteryOf, checkHome, type Home, householdShare, NO_BATTERY } from '../home/index.ts';
import { localTime } from '../policy/local-time.ts';
import { HOUR_MS } from '../series.ts';
import { clearSkyWeather, type Place, plantPower, type SolarPlant, solarPlant } from '../sun/index.ts';
import { CLIMATE_OF } from './climates.ts';

/** A grid zone over a year of hours. Forecasts look beyond its end: hours go round. */
export interface FleetZone {
  readonly name: string;
  readonly averageG: Float64Array;
  /** Undefined where nobody published it. */
  readonly marginalG: Float64Array | undefined;
  readonly pricePerKWh: Float64Array;
}

/** A home over the same year: hourly means. */
export interface FleetHome {
  readonly name: string;
  readonly zone: FleetZone;
  readonly home: Home;
  readonly pvW: Float64Array;
  readonly loadW: Float64Array;
  /** Mean household by hour of the day, UTC: what its owner's meter has learned. */
  readonly usualLoadW: Float64Array;
  /** What the sun leaves for the machine on a usual day of each season, Wh, by day of the year: from the place and its mean clouds. */
  readonly usualSurplusWh: Float64Array;
  /** Beyond idle, which is the household's. */
  readonly machineW: number;
  /** Below it, it does not train. */
  readonly leastW: number;
}

export interface Fleet {
  readonly startMs: number;
  readonly homes: readonly FleetHome[];
  readonly zones: readonly FleetZone[];
}

export const YEAR_HOURS = 8760;

/** Prices nobody measured: of a kWh that is bought in the mean of a year, and of one that is fed in. */
export const MEAN_PRICE = 0.25;
export const FEED_IN = 0.08;

/** Real traces in place of synthetic ones. */
export interface RealTraces {
  /** gCO2e/kWh of a zone, a year of hours from January 1, UTC. */
  readonly averageG?: (zone: string) => Float64Array | undefined;
  /** W of a household, a year of hours from January 1, by its own clock. */
  readonly households?: readonly Float64Array[];
}

export interface FleetOptions {
  readonly homesPerZone: number;
  readonly seed: number;
  /** First hour of the year. */
  readonly startMs: number;
  readonly real?: RealTraces;
}

/**
 * Homes in the sixteen zones of `grid/`, drawn from plain ranges: 4 to 12 kWp towards the equator, a battery of 5 to 15 kWh in three of four, a
 * household of 250 to 900 W, a machine of 200 to 500 W, and an inverter that feeds in at most 5 kW.
 */
export function drawFleet(options: FleetOptions): Fleet {
  const { startMs, homesPerZone, seed, real } = options;
  const zones: FleetZone[] = [];
  const homes: FleetHome[] = [];
  for (const zone of ZONES) {
    const grid = syntheticGrid(zone, seed, startMs, startMs + YEAR_HOURS * HOUR_MS);
    const measured = real?.averageG?.(zone.name);
    const fleetZone = {
      name: zone.name,
      averageG: measured ?? grid.averageG.values,
      marginalG: measured === undefined ? grid.marginalG.values : undefined,
      pricePerKWh: grid.priceShare.values.map((share) => share * MEAN_PRICE),
    };
    zones.push(fleetZone);
    const clock = wallClock(zone.timeZone, startMs);
    for (let i = 0; i < homesPerZone; i++) homes.push(drawHome(zone, fleetZone, clock, i, options));
  }
  return { startMs, homes, zones };
}

/** Hour of the day on the wall, in the middle of each hour of the year. */
function wallClock(timeZone: string, startMs: number): Float64Array {
  return new Float64Array(YEAR_HOURS).map((_, i) => localTime(startMs + (i + 0.5) * HOUR_MS, timeZone).minute / 60);
}

function drawHome(
  zone: Zone,
  fleetZone: FleetZone,
  clock: Float64Array,
  index: number,
  { seed, startMs, real }: FleetOptions,
): FleetHome {
  const name = `${zone.name} ${index + 1}`;
  const own = seedOf(name, seed);
  let drawn = 0;
  const between = (least: number, most: number): number => least + (most - least) * uniform(own, drawn++);
  const place: Place = {
    latitudeDeg: zone.latitudeDeg + between(-0.7, 0.7),
    longitudeDeg: zone.longitudeDeg + between(-0.7, 0.7),
    altitudeM: 100,
  };
  const peakW = between(4000, 12_000);
  const capacityWh = between(0, 1) < 0.25 ? 0 : between(5000, 15_000);
  const battery = capacityWh === 0 ? NO_BATTERY : batteryOf(capacityWh, 5000, 5000, 0.9);
  const home: Home = {
    battery,
    reserveWh: 0.2 * capacityWh,
    exportLimitW: 5000,
    importLimitW: Number.POSITIVE_INFINITY,
  };
  checkHome(home);
  const averageW = between(250, 900);
  const machineW = between(200, 500);
  const toEquatorDeg = (place.latitudeDeg < 0 ? 0 : 180) + between(-60, 60);
  const tiltDeg = Math.max(8, 0.75 * Math.abs(place.latitudeDeg));
  const plant = solarPlant(place, {
    arrays: [{ peakW, tiltDeg, azimuthDeg: (toEquatorDeg + 360) % 360, mounting: 'roof' }],
    inverterW: peakW / 1.2,
  });
  const climate = CLIMATE_OF[zone.name]!;
  const sky = syntheticSky(place, { climate, seed }, startMs, startMs + YEAR_HOURS * HOUR_MS);
  const pvW = new Float64Array(YEAR_HOURS);
  for (let i = 0; i < YEAR_HOURS; i++) {
    const atMs = startMs + (i + 0.5) * HOUR_MS;
    pvW[i] = plantPower(plant, atMs, weatherUnder(sky, place, atMs)!).acW;
  }
  const loadW =
    real?.households === undefined
      ? drawnLoad(averageW, clock, own, startMs)
      : realLoad(real.households[Math.floor(uniform(own, drawn++) * real.households.length)]!, zone, clock);
  const usualLoadW = usualDay(loadW);
  return {
    name,
    zone: fleetZone,
    home,
    pvW,
    loadW,
    usualLoadW,
    usualSurplusWh: usualSurplus(plant, CLIMATES[climate].cloudFactor, usualLoadW, machineW, startMs),
    machineW,
    leastW: LEAST_SHARE * machineW,
  };
}

/** Share of full power below which training costs more energy a token (docs/decisions/0016-energy-policy.md). */
const LEAST_SHARE = 0.6;

const uniform = (seed: number, place: number): number => hash(seed, 77, place) / 2 ** 32;

function drawnLoad(averageW: number, clock: Float64Array, seed: number, startMs: number): Float64Array {
  const habit = noise(seed, 5, 0.7, Math.floor(startMs / HOUR_MS), YEAR_HOURS);
  // A log-normal of deviation 0.4, of mean 1.
  return clock.map((hour, i) => averageW * householdShare(hour) * Math.exp(0.4 * habit[i]! - 0.08));
}

/** By its own clock; half a year later in the south. */
function realLoad(household: Float64Array, zone: Zone, clock: Float64Array): Float64Array {
  const behind = Math.round(clock[0]! - 0.5) + (zone.latitudeDeg < 0 ? 182 * 24 : 0);
  return household.map((_, i) => household[(i + behind) % YEAR_HOURS]!);
}

const EVERY_DAYS = 5;

/** By a sky with the climate's mean clouds, each fifth day: what panels give beyond the household, at most what the machine takes. */
function usualSurplus(
  plant: SolarPlant,
  cloudFactor: number,
  usualLoadW: Float64Array,
  machineW: number,
  startMs: number,
): Float64Array {
  const householdWh = usualLoadW.reduce((sum, w) => sum + w, 0);
  const surplusWh = new Float64Array(YEAR_HOURS / 24);
  for (let day = 0; day < surplusWh.length; day++) {
    if (day % EVERY_DAYS !== 0) {
      surplusWh[day] = surplusWh[day - 1]!;
      continue;
    }
    let pvWh = 0;
    for (let hour = 0; hour < 24; hour++) {
      const atMs = startMs + (24 * day + hour + 0.5) * HOUR_MS;
      pvWh += plantPower(plant, atMs, clearSkyWeather(plant.place, atMs, 15, 2, cloudFactor)).acW;
    }
    surplusWh[day] = Math.min(24 * machineW, Math.max(0, pvWh - householdWh));
  }
  return surplusWh;
}

function usualDay(loadW: Float64Array): Float64Array {
  const day = new Float64Array(24);
  for (let i = 0; i < YEAR_HOURS; i++) day[i % 24]! += loadW[i]! / (YEAR_HOURS / 24);
  return day;
}
