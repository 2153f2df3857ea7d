import { decide, newMemory } from '../../energy/policy/index.ts';
import type { Site } from '../../energy/site/site-schema.ts';
import { assumedWeather } from '../../energy/site/solar.ts';
import { type HomeSpan, SimulatedHome } from '../../simulate/home.ts';

const MINUTE_MS = 60_000;
const STEP_MS = 2 * MINUTE_MS;
export const SLOT_MS = 30 * MINUTE_MS;

/** Half an hour of a site's day, as its policy would have lived it. */
export interface Slot {
  readonly fromMs: number;
  readonly pvW: number;
  readonly loadW: number;
  /** Share of it in which it trains. */
  readonly trains: number;
  readonly batteryPercent: number | undefined;
}

export interface Rehearsal {
  readonly slots: readonly Slot[];
  readonly trainedHours: number;
  readonly starts: number;
  readonly computeWh: { readonly pv: number; readonly battery: number; readonly grid: number };
}

/** What clouds let through: as the site file says, and as usual where it names a service. */
export const assumedCloudFactor = ({ weather }: Site): number =>
  weather.kind === 'clear-sky' ? weather.cloudFactor : 0.7;

/**
 * What a site's machine would do between two moments, by its policy, the sun, an average household and clouds that let a stated share through. The battery begins
 * half full, a day before, so that its charge is its own.
 */
export function rehearse(site: Site, fromMs: number, toMs: number): Rehearsal {
  const cloudFactor = assumedCloudFactor(site);
  const { intensity } = site.grid;
  const around = {
    weatherAt: assumedWeather(site, cloudFactor),
    intensityGPerKWh: () => (intensity.kind === 'constant' ? intensity.gPerKWh : 475),
  };
  const startMs = fromMs - 24 * 60 * MINUTE_MS;
  const slots: {
    fromMs: number;
    pvW: number;
    loadW: number;
    trains: number;
    n: number;
    batteryPercent: number | undefined;
  }[] = [];
  const computeWh = { pv: 0, battery: 0, grid: 0 };
  let seen: HomeSpan | undefined;
  const home = new SimulatedHome(site, startMs, around, (span) => {
    seen = span;
    if (span.fromMs < fromMs) return;
    computeWh.pv += span.flows.pvToComputeWh;
    computeWh.battery += span.flows.batteryToComputeWh;
    computeWh.grid += span.flows.gridToComputeWh;
  });
  let memory = newMemory(startMs);
  let powerW = 0;
  let starts = 0;
  for (let nowMs = startMs; nowMs < toMs; nowMs += STEP_MS) {
    // What stops it besides the sun (who uses the machine, signals) nobody knows beforehand.
    const now = home.now(nowMs, Math.max(site.machine.idleW, powerW));
    const decision = decide(now, {}, { policy: site.policy, timeZone: site.location.timeZone }, memory, nowMs);
    memory = decision.memory;
    if (nowMs >= fromMs && powerW === 0 && decision.powerW > 0) starts++;
    ({ powerW } = decision);
    home.advance(nowMs + STEP_MS, powerW);
    if (nowMs < fromMs) continue;
    const slotMs = Math.floor(nowMs / SLOT_MS) * SLOT_MS;
    if (slots.at(-1)?.fromMs !== slotMs)
      slots.push({ fromMs: slotMs, pvW: 0, loadW: 0, trains: 0, n: 0, batteryPercent: undefined });
    const slot = slots.at(-1)!;
    slot.n++;
    slot.pvW += seen!.pvW;
    slot.loadW += seen!.loadW;
    slot.trains += powerW > 0 ? 1 : 0;
    slot.batteryPercent = home.batteryPercent;
  }
  const mean = slots.map(({ fromMs: from, n, batteryPercent, pvW, loadW, trains }) => ({
    fromMs: from,
    pvW: pvW / n,
    loadW: loadW / n,
    trains: trains / n,
    batteryPercent,
  }));
  return {
    slots: mean,
    trainedHours: mean.reduce((sum, { trains }) => sum + (trains * SLOT_MS) / 3_600_000, 0),
    starts,
    computeWh,
  };
}
