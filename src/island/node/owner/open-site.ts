import { constants, setPriority } from 'node:os';
import path from 'node:path';
import type { MachineMade } from '../../../energy/accounting/index.ts';
import { MeterSet, openNamedMeter, type Settings } from '../../../energy/meters/index.ts';
import type { SiteForecast } from '../../../energy/policy/index.ts';
import { metersOf } from '../../../energy/site/meters-of.ts';
import type { Site } from '../../../energy/site/site-schema.ts';
import { modelledPvW, plantOf, pvForecast } from '../../../energy/site/solar.ts';
import { Evcc } from '../../../energy/sources/evcc.ts';
import { GridOperator } from '../../../energy/sources/grid-operator.ts';
import type { SourceDeps } from '../../../energy/sources/index.ts';
import { makeFolder } from '../../../files.ts';
import type { Standing } from '../../../protocol/standing.ts';
import type { EnergyBooks } from '../../host.ts';
import { Governor } from '../../owner/governor.ts';
import { MeasuredSite } from '../../owner/measured-site.ts';
import { SiteBooks } from '../../owner/site-books.ts';
import { BooksFile } from './books-file.ts';
import { readOverride } from './control-file.ts';
import { DataMeter } from './data-meter.ts';
import { type GridNow, watchGrid } from './grid-now.ts';
import { IdleWatch } from './idle.ts';
import { openSwitch } from './signals.ts';
import { readMemory, StandingFile } from './standing-file.ts';

/** A site at work: its governor, ticked by a timer, with its meters and its files. */
export interface OpenSite {
  readonly governor: Governor;
  readonly books: EnergyBooks;
  /** Sent and received by its island, for the month's budget. */
  readonly onBytes: (bytes: number) => void;
  close(): Promise<void>;
}

export interface OpenSiteOptions {
  readonly site: Site;
  /** Where the site keeps its control file, its memory and its standing. */
  readonly folder: string;
  readonly say: (sentence: string) => void;
  /** The site, where its owner has changed its file since the last call. */
  readonly changed?: () => Site | undefined;
}

/** An owner at the machine is looked for so often; the sun does not move so fast. */
const TICK_MS = 1_000;
/** What a process that is killed may forget of its books. */
const REMEMBER_MS = 60_000;
const FORECAST_MS = 15 * 60_000;
const FORECAST_HOURS = 48;

/** @throws HelioError HELIO-6103 for a meter whose template or setting is wrong, HELIO-6203 for a source */
export async function openSite(options: OpenSiteOptions): Promise<OpenSite> {
  const { site, folder } = options;
  makeFolder(folder);
  makeFolder(path.join(folder, 'sources'));
  if (site.policy.idleOnly) yieldToOwner(options.say);
  const grid = await watchGrid(site, folder, options.say);
  const sources: SourceDeps = {
    nowMs: Date.now,
    random: Math.random,
    cacheFolder: path.join(folder, 'sources'),
    env: process.env,
    say: options.say,
  };
  const operator = site.gridOperator === undefined ? undefined : new GridOperator(site.gridOperator, sources);
  const evcc = site.evcc === undefined ? undefined : new Evcc(site.evcc, sources);
  await Promise.all([operator?.poll(), evcc?.poll()]);
  const opened = await Promise.all(
    metersOf(site).map(({ template, ...settings }) => openNamedMeter(template, settings as Settings)),
  );
  const meters = new MeterSet(opened);
  meters.start();
  await meters.poll();
  const idle = new IdleWatch();
  const data = new DataMeter(folder, Date.now, options.say);
  let changed = (): void => {};
  const signals =
    site.signals === undefined
      ? undefined
      : await openSwitch({
          ...site.signals,
          token: site.signals.token,
          standing: () => ({
            site: site.name,
            ...governor.decision.standing,
            powerW: governor.decision.powerW,
            ...(operator === undefined ? {} : { gridOperator: operator.standing }),
          }),
          changed: () => changed(),
        }).catch(async (error: unknown) => {
          await meters.stop();
          throw error;
        });
  const file = new BooksFile(folder, madeOf(site));
  const books = new SiteBooks(
    site,
    {
      measured: (quantity) => {
        const origin = meters.value(quantity)?.origin;
        return origin?.quality === 'measured' ? origin : undefined;
      },
      average: grid.average,
      marginal: grid.marginal,
      tariff: grid.tariff,
      sun: () => grid.weather().origin,
    },
    (record) => file.keep(record),
  );
  let isOver = false;
  const keepBooks = writer('What the machine uses', options.say);
  const keepStanding = writer('Where the site stands', options.say);
  const governor = new Governor({
    view: new MeasuredSite(site, meters, {
      ...sunOf(site, grid),
      intensityGPerKWh: () => grid.intensityGPerKWh(Date.now()),
      pricePerKWh: () => grid.pricePerKWh(Date.now()),
      ...(evcc === undefined ? {} : { evcc: (nowMs) => ({ state: evcc.state(nowMs), heardMs: evcc.heardMs }) }),
      idleSinceMs: () => idle.idleSinceMs(),
      signals: (nowMs, machine) => [...(signals?.signals(nowMs) ?? []), ...(operator?.signals(nowMs, machine) ?? [])],
      override: () => readOverride(folder),
      dataThisMonthBytes: () => data.thisMonthBytes,
    }),
    policy: site.policy,
    timeZone: site.location.timeZone,
    nowMs: Date.now,
    memory: readMemory(folder, options.say),
    onDecision: (span) => {
      if (!isOver) keepBooks(() => books.add(span));
    },
  });
  if (signals !== undefined) options.say(`signals are heard at http://127.0.0.1:${signals.port}`);
  const shown = new StandingFile(folder, site.name);
  let said = '';
  const follow = (): void => {
    const now = options.changed?.();
    if (now === undefined) return;
    governor.obey(now.policy);
    const isMore = JSON.stringify({ ...now, policy: null }) !== JSON.stringify({ ...site, policy: null });
    options.say(
      `its site file has changed: the policy is followed${isMore ? '; what else has changed counts when the island is started again' : ''}`,
    );
  };
  const tick = (): void => {
    follow();
    // They are not waited for: what they say counts at the next tick.
    void operator?.poll();
    void evcc?.poll();
    governor.tick();
    const { standing } = governor.decision;
    keepStanding(() => shown.write(governor, meters.held().length, Date.now(), operator?.standing));
    const words = `${standing.state} ${standing.reason}`;
    if (words === said) return;
    said = words;
    options.say(
      `${standing.state === 'training' ? 'trains' : 'does not train'}: ${standing.next?.what ?? standing.reason}`,
    );
  };
  tick();
  changed = tick;
  const timer = setInterval(tick, TICK_MS);
  const remembering = setInterval(() => keepBooks(() => file.remember(books.open)), REMEMBER_MS);
  const settle = (rest: Standing | null): void =>
    keepBooks(() => {
      governor.tick();
      books.flush();
      file.release(Date.now(), rest);
    });
  return {
    governor,
    onBytes: (bytes) => data.add(bytes),
    books: {
      begin: (run, island) =>
        keepBooks(() => {
          books.flush();
          file.begin(run, island, Date.now());
          isOver = false;
        }),
      trained: (tokens) => books.trained(tokens),
      get handIn() {
        return file.handIn;
      },
      settle,
      end() {
        isOver = true;
        file.end();
      },
    },
    async close() {
      clearInterval(timer);
      clearInterval(remembering);
      keepBooks(() => books.flush());
      data.save();
      grid.close();
      await signals?.close();
      await meters.stop();
    },
  };
}

/** Threads that begin from now on have it too: those that train are begun later. */
function yieldToOwner(say: (sentence: string) => void): void {
  try {
    setPriority(constants.priority.PRIORITY_LOW);
  } catch (error) {
    say(`its priority could not be lowered: ${String(error)}`);
  }
}

/** A disk that is full stops no policy and no signal, and is told of once. */
function writer(what: string, say: (sentence: string) => void): (write: () => void) => void {
  let isFailing = false;
  return (write) => {
    try {
      write();
      isFailing = false;
    } catch (error) {
      if (!isFailing) say(`${what} could not be written down: ${String(error)}`);
      isFailing = true;
    }
  };
}

/** What the panels should give now and later, by the weather that is known, and what is known of the grid. */
function sunOf(site: Site, grid: GridNow) {
  const plant = plantOf(site);
  let made: { readonly atMs: number; readonly forecast: SiteForecast } | undefined;
  const make = (nowMs: number): SiteForecast => {
    const { at, origin: weather } = grid.weather();
    const origin = { ...weather, quality: 'modelled', method: `PVWatts v5 on ${weather.method}` } as const;
    const [intensity, price] = [grid.intensity(), grid.price()];
    return {
      ...(plant === undefined ? {} : { pvW: pvForecast(plant, at, nowMs, FORECAST_HOURS, origin) }),
      ...(intensity === undefined ? {} : { intensityGPerKWh: intensity }),
      ...(price === undefined ? {} : { pricePerKWh: price }),
    };
  };
  return {
    pvW: (nowMs: number) => (plant === undefined ? 0 : modelledPvW(plant, grid.weather().at, nowMs)),
    forecast(nowMs: number): SiteForecast {
      if (made === undefined || Math.abs(nowMs - made.atMs) > FORECAST_MS)
        made = { atMs: nowMs, forecast: make(nowMs) };
      return made.forecast;
    },
  };
}

function madeOf({ machine: { embodiedKg, lifetimeYears } }: Site): MachineMade | undefined {
  return embodiedKg === undefined ? undefined : { totalG: 1000 * embodiedKg, lifeHours: lifetimeYears * 365.25 * 24 };
}
