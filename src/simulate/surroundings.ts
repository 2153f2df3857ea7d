import type { AverageIntensity } from '../energy/accounting/index.ts';
import { pricePerKWhAt, type Sky, syntheticGrid, syntheticSky, weatherUnder, zoneOf } from '../energy/grid/index.ts';
import type { SiteForecast } from '../energy/policy/index.ts';
import { HOUR_MS, type Series, valueAt } from '../energy/series.ts';
import { clearSkyWeather } from '../energy/sun/index.ts';
import { cloudFactor } from './clouds.ts';
import type { Around } from './home.ts';
import type { SimulatedSite } from './homes-file.ts';

const AIR_C = 18;
const WIND_M_PER_S = 2;
const AHEAD_MS = 48 * HOUR_MS;

/** Grid and sky around a home of a homes file. Every process that asks for the same moment gets the same figures. */
export interface Surroundings extends Around {
  /** For the books, with where it comes from. */
  averageAt(atMs: number): AverageIntensity;
}

/** @param site as `parseHomes` lets it through: constant or synthetic, and no service */
export function surroundingsOf(site: SimulatedSite): Surroundings {
  const intensity = intensityOf(site);
  const price = priceOf(site);
  return {
    weatherAt: weatherOf(site),
    averageAt: (atMs) => {
      const { gPerKWh, origin } = intensity(atMs);
      return { kind: 'average', scope: 'lifecycle', gPerKWh, zone: zoneOfSite(site), origin };
    },
    intensityGPerKWh: (atMs) => intensity(atMs).gPerKWh,
    pricePerKWh: price,
    ahead: (nowMs) => ahead(nowMs, (atMs) => intensity(atMs).gPerKWh, price),
  };
}

const zoneOfSite = ({ grid }: SimulatedSite): string =>
  grid.zone ?? (grid.intensity.kind === 'synthetic' ? grid.intensity.zone : undefined) ?? 'unnamed';

type Intensity = Pick<AverageIntensity, 'gPerKWh' | 'origin'>;

function intensityOf({ grid }: SimulatedSite): (atMs: number) => Intensity {
  const { intensity } = grid;
  if (intensity.kind !== 'synthetic') {
    const gPerKWh = intensity.kind === 'constant' ? intensity.gPerKWh : Number.NaN;
    const origin = { quality: 'assumed', method: 'constant of the homes file' } as const;
    return () => ({ gPerKWh, origin });
  }
  const zone = knownZone(intensity.zone ?? grid.zone);
  const window = windows((fromMs, toMs) => syntheticGrid(zone, intensity.seed, fromMs, toMs).averageG);
  return (atMs) => {
    const series = window(atMs);
    return { gPerKWh: valueAt(series, atMs), origin: series.origin };
  };
}

function priceOf({ grid, location }: SimulatedSite): (atMs: number) => number | undefined {
  const { tariff } = grid;
  switch (tariff?.kind) {
    case 'constant':
      return () => tariff.perKWh;
    case 'time-of-use':
      return (atMs) => pricePerKWhAt({ ...tariff, timeZone: location.timeZone }, atMs);
    case 'synthetic': {
      const zone = knownZone(tariff.zone ?? grid.zone);
      const window = windows((fromMs, toMs) => syntheticGrid(zone, tariff.seed, fromMs, toMs).priceShare);
      return (atMs) => tariff.perKWh * valueAt(window(atMs), atMs);
    }
    default:
      return () => undefined;
  }
}

function weatherOf(site: SimulatedSite): Around['weatherAt'] {
  const { location, cloudiness, seed, weather } = site;
  if (weather.kind !== 'synthetic')
    return (atMs) => clearSkyWeather(location, atMs, AIR_C, WIND_M_PER_S, cloudFactor(seed, atMs, cloudiness));
  const window = windows<Sky>((fromMs, toMs) => syntheticSky(location, weather, fromMs, toMs));
  return (atMs) => weatherUnder(window(atMs), location, atMs);
}

/** What a forecast would say of the grid; of a synthetic one it is right. */
function ahead(
  nowMs: number,
  intensity: (atMs: number) => number,
  price: (atMs: number) => number | undefined,
): Pick<SiteForecast, 'intensityGPerKWh' | 'pricePerKWh'> {
  const startMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
  const hourly = (of: (atMs: number) => number): Series => ({
    startMs,
    stepMs: HOUR_MS,
    values: Float64Array.from({ length: AHEAD_MS / HOUR_MS }, (_, hour) => of(startMs + hour * HOUR_MS)),
    origin: { quality: 'modelled', method: 'simulated grid' },
  });
  return {
    intensityGPerKWh: hourly(intensity),
    ...(price(nowMs) === undefined ? {} : { pricePerKWh: hourly((atMs) => price(atMs) ?? Number.NaN) }),
  };
}

const WINDOW_MS = 96 * HOUR_MS;

/** A series is made for four days, and again for the next: hours do not depend on which are asked for. Two are held, as one looks ahead and back. */
function windows<Made>(make: (fromMs: number, toMs: number) => Made): (atMs: number) => Made {
  const held = new Map<number, Made>();
  return (atMs) => {
    const place = Math.floor(atMs / WINDOW_MS);
    const known = held.get(place);
    if (known !== undefined) return known;
    const made = make(place * WINDOW_MS, (place + 1) * WINDOW_MS);
    if (held.size > 1) held.delete(held.keys().next().value!);
    held.set(place, made);
    return made;
  };
}

function knownZone(name: string | undefined) {
  const zone = name === undefined ? undefined : zoneOf(name);
  if (zone === undefined) throw new RangeError(`no synthetic zone ${name}`);
  return zone;
}
