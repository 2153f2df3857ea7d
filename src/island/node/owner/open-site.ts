import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Origin } from '../../../energy/figure.ts';
import { MeterSet, openNamedMeter, type Settings } from '../../../energy/meters/index.ts';
import type { PolicyMemory, Signal, SiteForecast } from '../../../energy/policy/index.ts';
import type { Site } from '../../../energy/site/site-schema.ts';
import { assumedWeather, modelledPvW, plantOf, pvForecast } from '../../../energy/site/solar.ts';
import { makeFolder, writeWhole } from '../../../files.ts';
import { type GovernedSpan, Governor } from '../../owner/governor.ts';
import { MeasuredSite } from '../../owner/measured-site.ts';
import { readOverride } from './control-file.ts';

/** A site at work: its governor, ticked by a timer, with its meters and its files. */
export interface OpenSite {
  readonly governor: Governor;
  close(): Promise<void>;
}

export interface OpenSiteOptions {
  readonly site: Site;
  /** Where the site keeps its control file, its memory and its standing. */
  readonly folder: string;
  readonly say: (sentence: string) => void;
  /** Since when nobody has used the machine, Unix ms; undefined where nobody can tell. */
  readonly idleSinceMs?: () => number | undefined;
  readonly signals?: (nowMs: number) => readonly Signal[];
  readonly dataThisMonthBytes?: () => number;
  readonly onDecision?: (span: GovernedSpan) => void;
}

/** The owner is noticed within a second; the sun does not move so fast. */
const TICK_MS = 1_000;
const FORECAST_MS = 15 * 60_000;
const FORECAST_HOURS = 48;

/** @throws HelioError HELIO-6103 for a meter whose template or setting is wrong */
export async function openSite(options: OpenSiteOptions): Promise<OpenSite> {
  const { site, folder } = options;
  makeFolder(folder);
  const opened = await Promise.all(
    site.meters.map(({ template, ...settings }) => openNamedMeter(template, settings as Settings)),
  );
  const meters = new MeterSet(opened);
  meters.start();
  await meters.poll();
  const governor = new Governor({
    view: new MeasuredSite(site, meters, {
      ...sunOf(site),
      intensityGPerKWh: () => (site.grid.intensity.kind === 'constant' ? site.grid.intensity.gPerKWh : undefined),
      pricePerKWh: () => (site.grid.tariff?.kind === 'constant' ? site.grid.tariff.perKWh : undefined),
      idleSinceMs: options.idleSinceMs ?? (() => undefined),
      signals: options.signals ?? (() => []),
      override: () => readOverride(folder),
      dataThisMonthBytes: options.dataThisMonthBytes ?? (() => 0),
    }),
    policy: site.policy,
    timeZone: site.location.timeZone,
    nowMs: Date.now,
    memory: readMemory(folder),
    ...(options.onDecision === undefined ? {} : { onDecision: options.onDecision }),
  });
  let said = '';
  const tick = (): void => {
    governor.tick();
    const { standing, powerW } = governor.decision;
    writeWhole(
      path.join(folder, 'standing.json'),
      `${JSON.stringify({ site: site.name, atMs: Date.now(), standing, powerW, meters: meters.held().length })}\n`,
    );
    writeWhole(path.join(folder, 'memory.json'), `${JSON.stringify(governor.memory)}\n`);
    const words = `${standing.state} ${standing.reason}`;
    if (words === said) return;
    said = words;
    options.say(
      `${standing.state === 'training' ? 'trains' : 'does not train'}: ${standing.next?.what ?? standing.reason}`,
    );
  };
  tick();
  const timer = setInterval(() => {
    try {
      tick();
    } catch (error) {
      // A disk that is full stops no policy.
      options.say(`the site's files could not be written: ${String(error)}`);
    }
  }, TICK_MS);
  return {
    governor,
    async close() {
      clearInterval(timer);
      await meters.stop();
    },
  };
}

/** What the panels should give now and later, by the weather that is assumed. */
function sunOf(site: Site) {
  const plant = plantOf(site);
  const cloudFactor = site.weather.kind === 'clear-sky' ? site.weather.cloudFactor : 0.7;
  const weatherAt = assumedWeather(site, cloudFactor);
  const origin: Origin = { quality: 'modelled', method: `PVWatts v5 on a clear sky × ${cloudFactor}` };
  let made: { readonly atMs: number; readonly forecast: SiteForecast } | undefined;
  return {
    pvW: (nowMs: number) => (plant === undefined ? 0 : modelledPvW(plant, weatherAt, nowMs)),
    forecast(nowMs: number): SiteForecast {
      if (plant === undefined) return {};
      if (made === undefined || Math.abs(nowMs - made.atMs) > FORECAST_MS)
        made = { atMs: nowMs, forecast: { pvW: pvForecast(plant, weatherAt, nowMs, FORECAST_HOURS, origin) } };
      return made.forecast;
    },
  };
}

function readMemory(folder: string): PolicyMemory | undefined {
  try {
    const memory = JSON.parse(readFileSync(path.join(folder, 'memory.json'), 'utf8')) as PolicyMemory;
    return typeof memory.isOn === 'boolean' && Array.isArray(memory.startsMs) ? memory : undefined;
  } catch {
    return undefined;
  }
}
