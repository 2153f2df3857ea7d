import path from 'node:path';
import type { AverageIntensity, MarginalIntensity, Tariff } from '../../../energy/accounting/index.ts';
import { HOUR_MS, type Series, valueAt } from '../../../energy/series.ts';
import type { Site } from '../../../energy/site/site-schema.ts';
import {
  type IntensityFigures,
  openSources,
  type TariffFigures,
  type WeatherFigures,
} from '../../../energy/sources/index.ts';
import { standInNotice } from './stand-in-notice.ts';

/** What is known of a site's grid and weather, refreshed beside the policy, which never waits for a service. */
export interface GridNow {
  /** Average where it is known, else marginal; undefined where nobody knows. */
  intensityGPerKWh(atMs: number): number | undefined;
  pricePerKWh(atMs: number): number | undefined;
  /** The two kinds apart, for the books; the average is the world's where nobody knows it, and says so. */
  average(atMs: number): AverageIntensity;
  marginal(atMs: number): MarginalIntensity | undefined;
  tariff(atMs: number): Tariff | undefined;
  /** What comes; absent where nobody knows. */
  intensity(): Series | undefined;
  price(): Series | undefined;
  weather(): WeatherFigures;
  close(): void;
}

const WORLD = {
  kind: 'average',
  scope: 'unstated',
  gPerKWh: 475,
  origin: {
    quality: 'assumed',
    method: "the world's average",
    insteadOf: 'an intensity of the zone, which nobody told',
  },
} as const;

const REFRESH_MS = 5 * 60_000;
const AHEAD_MS = 48 * HOUR_MS;

/** @throws HelioError HELIO-6203 for a file or zone of the site that is wrong */
export async function watchGrid(site: Site, folder: string, say: (sentence: string) => void): Promise<GridNow> {
  const { grid, location, weather } = site;
  const zone = grid.zone ?? 'unnamed';
  const sources = openSources(
    {
      zone: grid.zone,
      place: location,
      timeZone: location.timeZone,
      intensity: grid.intensity,
      tariff: grid.tariff,
      weather,
    },
    {
      nowMs: Date.now,
      random: Math.random,
      cacheFolder: path.join(folder, 'sources'),
      env: process.env,
      say,
    },
  );
  let intensity: IntensityFigures = {};
  let tariff: TariffFigures | undefined;
  let sky: WeatherFigures = { at: () => undefined, origin: { quality: 'assumed', method: 'no weather known' } };
  const notices = { intensity: standInNotice('carbon intensity', say), weather: standInNotice('weather', say) };
  const held = (): Series | undefined => intensity.averageG ?? intensity.marginalG;
  const refresh = async (): Promise<void> => {
    const fromMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
    const toMs = fromMs + AHEAD_MS;
    [intensity, tariff, sky] = await Promise.all([
      sources.intensity(fromMs, toMs),
      sources.tariff(fromMs, toMs),
      sources.weather(fromMs, toMs),
    ]);
    notices.intensity(held()?.origin);
    notices.weather(sky.at(Date.now()) === undefined ? undefined : sky.origin);
  };
  await refresh();
  const timer = setInterval(() => {
    refresh().catch((error: unknown) => say(`Grid and weather were not refreshed: ${String(error)}`));
  }, REFRESH_MS);
  timer.unref();
  const known = (series: Series | undefined, atMs: number): number | undefined => {
    const value = series === undefined ? Number.NaN : valueAt(series, atMs);
    return Number.isNaN(value) ? undefined : value;
  };
  return {
    intensityGPerKWh: (atMs) => known(held(), atMs),
    pricePerKWh: (atMs) => known(tariff?.perKWh, atMs),
    average: (atMs) => {
      const gPerKWh = known(intensity.averageG, atMs);
      if (gPerKWh === undefined) return { ...WORLD, zone };
      return { kind: 'average', scope: 'unstated', gPerKWh, zone, origin: intensity.averageG!.origin };
    },
    marginal: (atMs) => {
      const gPerKWh = known(intensity.marginalG, atMs);
      return gPerKWh === undefined
        ? undefined
        : { kind: 'marginal', gPerKWh, zone, origin: intensity.marginalG!.origin };
    },
    tariff: (atMs) => {
      const perKWh = known(tariff?.perKWh, atMs);
      return perKWh === undefined ? undefined : { perKWh, currency: tariff!.currency };
    },
    intensity: held,
    price: () => tariff?.perKWh,
    weather: () => sky,
    close: () => clearInterval(timer),
  };
}
