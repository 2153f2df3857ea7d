import { HelioError } from '../../errors.ts';
import type { Origin } from '../figure.ts';
import { priceSeries, syntheticGrid, syntheticSky, weatherUnder, type Zone, zoneOf } from '../grid/index.ts';
import { HOUR_MS, type Series } from '../series.ts';
import type { IntensityConfig, TariffConfig, WeatherConfig } from '../site/sources-schema.ts';
import { clearSkyWeather, type Place, type Weather } from '../sun/index.ts';
import { evccTariff } from './evcc.ts';
import type { Fed, Feed, SourceDeps } from './feed.ts';
import { openMeteoFeed } from './open-meteo.ts';
import { INTENSITY, type Points, PRICE, seriesFrom } from './points.ts';
import { electricityMapsFeed, G_PER_KWH_OF_LB_PER_MWH, gbFeed, wattTimeFeed } from './services.ts';
import { readTable, type TableFile } from './table-file.ts';
import { AIR_C, WIND_M_PER_S, weatherFile } from './weather-file.ts';
import { weatherIn } from './weather-table.ts';

export type { SourceDeps } from './feed.ts';

export interface SourcesConfig {
  readonly zone?: string | undefined;
  readonly place: Place;
  readonly timeZone: string;
  readonly intensity: IntensityConfig;
  readonly tariff?: TariffConfig | undefined;
  readonly weather: WeatherConfig;
}

/** Two kinds that are never added: average for reports, marginal for decisions. */
export interface IntensityFigures {
  readonly averageG?: Series;
  readonly marginalG?: Series;
}
export interface TariffFigures {
  readonly perKWh: Series;
  readonly currency: string;
}
export interface WeatherFigures {
  /** Undefined where nobody knows it. */
  readonly at: (atMs: number) => Weather | undefined;
  readonly origin: Origin;
}

export interface Sources {
  /** Empty when neither the source nor a fallback has anything. */
  intensity(fromMs: number, toMs: number): Promise<IntensityFigures>;
  /** Undefined without a tariff. */
  tariff(fromMs: number, toMs: number): Promise<TariffFigures | undefined>;
  weather(fromMs: number, toMs: number): Promise<WeatherFigures>;
}

/** Two years. */
const MOST_HOURS = 17_544;

type Get<T> = (fromMs: number, toMs: number) => Promise<T>;
interface Link<T> {
  readonly kind: string;
  readonly get: Get<T>;
}

/** @throws HelioError HELIO-6203 for a file, zone or token that is wrong or missing */
export function openSources(config: SourcesConfig, deps: SourceDeps): Sources {
  const { intensity, tariff, weather } = config;
  const fallbacks = 'fallback' in intensity ? intensity.fallback : [];
  const intensities = [intensity, ...fallbacks].map((each) => ({
    kind: each.kind,
    get: intensityOf(each, config, deps),
  }));
  const skies = [weather, ...('fallback' in weather ? weather.fallback : [])].map((each) => ({
    kind: each.kind,
    get: weatherOf(each, config, deps),
  }));
  const prices = tariff === undefined ? undefined : tariffOf(tariff, config, deps);
  return {
    intensity: (fromMs, toMs) =>
      firstOf(intensities, fromMs, toMs, hasIntensity, (figures, insteadOf) => ({
        ...(figures.averageG && { averageG: marked(figures.averageG, insteadOf) }),
        ...(figures.marginalG && { marginalG: marked(figures.marginalG, insteadOf) }),
      })).then((found) => found ?? {}),
    tariff: async (fromMs, toMs) =>
      prices?.(fromMs, toMs).catch((error: unknown) => {
        // A price that nobody knows is none; the feed has said why.
        if (error instanceof HelioError) return undefined;
        throw error;
      }),
    weather: (fromMs, toMs) =>
      firstOf(skies, fromMs, toMs, isWeather(fromMs, toMs), (figures, insteadOf) => ({
        ...figures,
        origin: { ...figures.origin, insteadOf },
      })).then((found) => found ?? { at: () => undefined, origin: { quality: 'assumed', method: 'no weather known' } }),
  };
}

/** The first of a chain that has something; whoever stands in says for what, and why. */
async function firstOf<T>(
  chain: readonly Link<T>[],
  fromMs: number,
  toMs: number,
  has: (value: T) => boolean,
  standIn: (value: T, insteadOf: string) => T,
): Promise<T | undefined> {
  let insteadOf: string | undefined;
  for (const { kind, get } of chain) {
    let value: T;
    try {
      value = await get(fromMs, toMs);
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      insteadOf ??= error.what;
      continue;
    }
    if (has(value)) return insteadOf === undefined ? value : standIn(value, insteadOf);
    insteadOf ??= `${kind} has nothing for these hours`;
  }
  return undefined;
}

const hasIntensity = ({ averageG, marginalG }: IntensityFigures): boolean =>
  [averageG, marginalG].some((series) => series?.values.some((value) => !Number.isNaN(value)));

/** Whether it is known at the beginning of any hour. */
const isWeather =
  (fromMs: number, toMs: number) =>
  ({ at }: WeatherFigures): boolean => {
    const hours = Math.min(MOST_HOURS, Math.ceil((toMs - fromMs) / HOUR_MS));
    for (let i = 0; i < hours; i++) if (at(fromMs + i * HOUR_MS) !== undefined) return true;
    return hours <= 0;
  };

const marked = (series: Series, insteadOf: string): Series => ({ ...series, origin: { ...series.origin, insteadOf } });

const G_PER_KWH_OF = new Map([
  ['g/kWh', 1],
  ['kg/MWh', 1],
  ['kg/kWh', 1000],
  ['lb/MWh', G_PER_KWH_OF_LB_PER_MWH],
]);

function zoneNamed(name: string | undefined): Zone {
  const zone = name === undefined ? undefined : zoneOf(name);
  if (zone !== undefined) return zone;
  throw new HelioError(
    'HELIO-6203',
    `There is no synthetic zone ${name ?? '(none is named)'}.`,
    'docs/energy-sources.md has those that there are.',
  );
}

function realZone(name: string | undefined, kind: string): string {
  if (name !== undefined) return name;
  throw new HelioError('HELIO-6203', `${kind} needs a zone, and none is named.`, 'Set `zone` under `grid`.');
}

function intensityOf(config: IntensityConfig, site: SourcesConfig, deps: SourceDeps): Get<IntensityFigures> {
  switch (config.kind) {
    case 'constant': {
      const origin: Origin = { quality: 'assumed', method: `${config.gPerKWh} g/kWh for all hours` };
      return async (fromMs, toMs) => ({ averageG: constantSeries(config.gPerKWh, fromMs, toMs, origin) });
    }
    case 'file': {
      const points = pointsOf(config, G_PER_KWH_OF.get(config.unit)!);
      checkUnit(points, config);
      const origin: Origin = { quality: 'modelled', method: `${config.path}, ${config.unit}` };
      return async (fromMs, toMs) => {
        const series = seriesFrom(points, INTENSITY, fromMs, toMs, origin);
        return config.signal === 'average' ? { averageG: series } : { marginalG: series };
      };
    }
    case 'synthetic': {
      const zone = zoneNamed(config.zone ?? site.zone);
      return async (fromMs, toMs) => {
        const { averageG, marginalG } = syntheticGrid(zone, config.seed, fromMs, toMs);
        return { averageG, marginalG };
      };
    }
    case 'gb-carbon-intensity':
      if (site.zone !== undefined && !/^(GB|UK)(?!-NIR)(-|$)/i.test(site.zone))
        throw new HelioError(
          'HELIO-6203',
          `gb-carbon-intensity is of Great Britain alone, and grid.zone is ${site.zone}.`,
          'Use another kind of intensity, or set zone: GB.',
        );
      return served(gbFeed(config, deps), 'GB Carbon Intensity API, average', (averageG) => ({ averageG }));
    case 'electricity-maps': {
      const zone = realZone(config.zone ?? site.zone, config.kind);
      const method = `Electricity Maps ${zone}, average`;
      return served(electricityMapsFeed(config, zone, deps), method, (averageG) => ({ averageG }));
    }
    case 'watttime': {
      const zone = realZone(config.zone ?? site.zone, config.kind);
      return served(wattTimeFeed(config, zone, deps), `WattTime ${zone}, marginal`, (marginalG) => ({ marginalG }));
    }
  }
}

/** @param factor from the file's unit to ours */
const pointsOf = (file: TableFile & { readonly value: string }, factor: number): Points => ({
  stepMs: file.stepMinutes * 60_000,
  points: readTable(file, [file.value]).map(([atMs, value]) => [atMs, value! * factor]),
});

/** Less is no grid's largest of a day. */
const LEAST_PEAK_G = 2;
const DAY_VALUES = 24;

/** kg where g was said, or g where kg was said. */
function checkUnit({ points }: Points, { path, unit }: { readonly path: string; readonly unit: string }): void {
  const values = points.map(([, value]) => value).filter((value) => value > 0);
  if (values.length < DAY_VALUES) return;
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  if (most < LEAST_PEAK_G)
    throw new HelioError(
      'HELIO-6203',
      `${path}: the largest of ${values.length} values is ${most} g/kWh, as its unit is ${unit}.`,
      'No grid has so little. If they are kilograms, write unit: kg/kWh.',
    );
  if (least > INTENSITY.most)
    throw new HelioError(
      'HELIO-6203',
      `${path}: all ${values.length} values are ${least} g/kWh or more, as its unit is ${unit}.`,
      'No grid has so much. If they are grams, write unit: g/kWh.',
    );
}

/** Outward to the hour, so that what was kept answers for the whole hour. */
const served =
  (feed: Feed<Points>, method: string, named: (series: Series) => IntensityFigures): Get<IntensityFigures> =>
  async (fromMs, toMs) => {
    const fed = await feed.get(Math.floor(fromMs / HOUR_MS) * HOUR_MS, Math.ceil(toMs / HOUR_MS) * HOUR_MS);
    return named(seriesFrom(fed.value, INTENSITY, fromMs, toMs, originOf(fed, method)));
  };

const originOf = ({ fetchedMs, stale }: Fed<unknown>, method: string): Origin => ({
  quality: 'modelled',
  method,
  vintage: new Date(fetchedMs).toISOString(),
  ...(stale === undefined ? {} : { insteadOf: stale }),
});

function constantSeries(value: number, fromMs: number, toMs: number, origin: Origin): Series {
  const startMs = Math.floor(fromMs / HOUR_MS) * HOUR_MS;
  const values = new Float64Array(Math.max(0, Math.ceil((toMs - startMs) / HOUR_MS))).fill(value);
  return { startMs, stepMs: HOUR_MS, values, origin };
}

function tariffOf(config: TariffConfig, site: SourcesConfig, deps: SourceDeps): Get<TariffFigures> {
  const { currency } = config;
  switch (config.kind) {
    case 'constant':
    case 'time-of-use': {
      const origin: Origin = { quality: 'assumed', method: `${config.kind} tariff of the site file` };
      const tariff = { ...config, timeZone: site.timeZone };
      return async (fromMs, toMs) => ({ perKWh: priceSeries(tariff, fromMs, toMs, origin), currency });
    }
    case 'file': {
      const points = pointsOf(config, config.unit === 'MWh' ? 0.001 : 1);
      const origin: Origin = { quality: 'assumed', method: config.path };
      return async (fromMs, toMs) => ({ perKWh: seriesFrom(points, PRICE, fromMs, toMs, origin), currency });
    }
    case 'evcc': {
      const feed = evccTariff(config, deps);
      return async (fromMs, toMs) => {
        const fed = await feed.get(fromMs, toMs);
        return {
          perKWh: seriesFrom(fed.value, PRICE, fromMs, toMs, originOf(fed, 'evcc, tariff of the grid')),
          currency,
        };
      };
    }
    case 'synthetic': {
      const zone = zoneNamed(config.zone ?? site.zone);
      return async (fromMs, toMs) => {
        const { priceShare } = syntheticGrid(zone, config.seed, fromMs, toMs);
        return { perKWh: { ...priceShare, values: priceShare.values.map((share) => share * config.perKWh) }, currency };
      };
    }
  }
}

function weatherOf(config: WeatherConfig, { place }: SourcesConfig, deps: SourceDeps): Get<WeatherFigures> {
  switch (config.kind) {
    case 'clear-sky': {
      const { cloudFactor } = config;
      const air = `${AIR_C} °C, wind ${WIND_M_PER_S} m/s`;
      const origin: Origin = { quality: 'assumed', method: `clear sky × ${cloudFactor}, ${air}` };
      return async () => ({ at: (atMs) => clearSkyWeather(place, atMs, AIR_C, WIND_M_PER_S, cloudFactor), origin });
    }
    case 'file': {
      const table = weatherFile(config);
      const origin: Origin = { quality: 'modelled', method: [config.path, ...table.remarks].join('; ') };
      return async () => ({ at: (atMs) => weatherIn(table, atMs), origin });
    }
    case 'synthetic':
      return async (fromMs, toMs) => {
        const sky = syntheticSky(place, config, fromMs, toMs);
        return { at: (atMs) => weatherUnder(sky, place, atMs), origin: sky.cloudFactor.origin };
      };
    case 'open-meteo': {
      const feed = openMeteoFeed(config, place, deps);
      return async (fromMs, toMs) => {
        const fed = await feed.get(fromMs, toMs);
        const method = [`Open-Meteo, every ${config.stepMinutes} min`, ...fed.value.remarks].join('; ');
        return { at: (atMs) => weatherIn(fed.value, atMs), origin: originOf(fed, method) };
      };
    }
  }
}
