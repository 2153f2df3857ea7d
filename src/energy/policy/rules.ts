import type { Reason } from '../../protocol/standing.ts';
import { meanOver, type Series } from '../series.ts';
import { clockTime, endOf, isWithin, localTime } from './local-time.ts';
import type { Policy } from './policy-schema.ts';
import type { Signal, SiteForecast, SiteNow } from './site-now.ts';

/** Why the machine may not train, whatever the sun does. */
export interface Stop {
  readonly reason: Reason;
  /** One sentence for the owner. */
  readonly what: string;
  /** When it is expected to be over, Unix ms; null where nobody knows. */
  readonly untilMs: number | null;
  /** The command that changes it. */
  readonly fix?: string;
}

export interface Situation {
  readonly site: SiteNow;
  readonly forecast: SiteForecast;
  readonly policy: Policy;
  readonly timeZone: string;
  readonly nowMs: number;
  /** Whether it trains until now. */
  readonly isOn: boolean;
}

type Rule = (situation: Situation) => Stop | null;

/** A meter that is silent for so long is no hiccup. */
const SILENT_MS = 120_000;
const GB = 1e9;

/** In the order of their rank: of several that apply the first is named. What the owner says by hand comes first. */
export const HARD_RULES: readonly Rule[] = [
  ({ site, nowMs, timeZone }) => {
    const { override } = site;
    if (override === null || override.kind === 'resume' || isOver(override.untilMs, nowMs)) return null;
    const until = override.untilMs === null ? 'until you resume it' : `until ${clockTime(override.untilMs, timeZone)}`;
    return {
      reason: 'paused-by-owner',
      what: `Paused by you ${until}.`,
      untilMs: override.untilMs,
      fix: 'heliotrope resume',
    };
  },
  ({ policy }) =>
    policy.mode === 'off'
      ? { reason: 'switched-off', what: 'Its mode is off.', untilMs: null, fix: 'heliotrope provide --mode sun-only' }
      : null,
  ({ site, nowMs, timeZone, isOn }) => {
    const strictest = strictestSignal(site, nowMs);
    if (strictest === null) return null;
    const { signal, allowedW } = strictest;
    // What the rest of the home takes comes and goes: it begins only with something to spare.
    const neededW = site.machine.leastW * (signal.of === 'home' && !isOn ? 1.25 : 1);
    if (allowedW >= neededW) return null;
    return {
      reason: 'grid-signal',
      what: `${allowance(strictest, timeZone)}, and training needs ${watts(neededW)}.`,
      untilMs: signal.untilMs,
    };
  },
  ({ site, policy }) => {
    if (site.isGridConnected) return null;
    if (policy.trainInOutage) return null;
    const { batteryPercent, batteryLastsHours: hours } = site;
    const lasts = hours === undefined || !Number.isFinite(hours) ? '' : `, about ${hours.toFixed(0)} h`;
    const has =
      batteryPercent === undefined ? 'what the home has is' : `the battery's ${batteryPercent.toFixed(0)} % are`;
    return { reason: 'grid-outage', what: `The grid is down: ${has} for the home${lasts}.`, untilMs: null };
  },
  ({ site, policy }) => {
    const { maxTemperatureC } = policy;
    const { temperatureC } = site;
    if (maxTemperatureC === undefined || temperatureC === undefined || temperatureC <= maxTemperatureC) return null;
    return {
      reason: 'too-hot',
      what: `It has ${temperatureC.toFixed(0)} °C, and may have ${maxTemperatureC} °C.`,
      untilMs: null,
    };
  },
];

/** Rules that the owner's `resume` lifts for a while. */
export const SOFT_RULES: readonly Rule[] = [
  ({ site, policy, nowMs }) => {
    const { idleSinceMs } = site;
    if (!policy.idleOnly || idleSinceMs === undefined) return null;
    const idleMs = 1000 * policy.idleAfterS;
    if (nowMs - idleSinceMs >= idleMs) return null;
    return {
      reason: 'owner-active',
      what: 'Somebody uses the machine.',
      untilMs: idleSinceMs + idleMs,
    };
  },
  ({ policy, timeZone, nowMs }) => {
    if (policy.quietHours.length === 0) return null;
    const local = localTime(nowMs, timeZone);
    if (!policy.quietHours.some((hours) => isWithin(hours, local))) return null;
    const untilMs = endOf(policy.quietHours, nowMs, timeZone);
    const until = untilMs === null ? '' : ` until ${clockTime(untilMs, timeZone)}`;
    return { reason: 'quiet-hours', what: `Quiet hours${until}.`, untilMs };
  },
  ({ site, policy, nowMs }) => {
    const { monthlyDataGB } = policy;
    if (monthlyDataGB === undefined || site.dataThisMonthBytes < monthlyDataGB * GB) return null;
    const now = new Date(nowMs);
    return {
      reason: 'data-budget',
      what: `It has used the ${monthlyDataGB} GB that it may send and receive in a month.`,
      untilMs: Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1),
    };
  },
];

/** Rules about power from the grid: they do not hold where training takes none. */
export const GRID_RULES: readonly Rule[] = [
  ({ site, forecast, policy, nowMs, timeZone }) => {
    const { maxIntensityGPerKWh: most } = policy;
    if (most === undefined) return null;
    const { intensityGPerKWh: now } = site;
    if (now !== undefined && now < most) return null;
    const untilMs = firstBelow(forecast.intensityGPerKWh, most, nowMs);
    const have =
      now === undefined ? 'Nobody knows the carbon intensity of the grid now' : `The grid has ${now.toFixed(0)} g/kWh`;
    return {
      reason: 'dirty-power',
      what: `${have}; it trains below ${most} g/kWh${expected(untilMs, timeZone)}.`,
      untilMs,
    };
  },
  ({ site, forecast, policy, nowMs, timeZone }) => {
    const { maxPricePerKWh: most } = policy;
    if (most === undefined) return null;
    const { pricePerKWh: now } = site;
    if (now !== undefined && now <= most) return null;
    const untilMs = firstBelow(forecast.pricePerKWh, most, nowMs);
    const have = now === undefined ? 'Nobody knows the price of power now' : `A kWh costs ${now.toFixed(2)}`;
    return {
      reason: 'dear-power',
      what: `${have}; it trains at ${most} or less${expected(untilMs, timeZone)}.`,
      untilMs,
    };
  },
  ({ site: { plan }, nowMs, timeZone }) => {
    const hour = plan === undefined ? -1 : Math.floor((nowMs / 1000 - plan.startS) / 3600);
    // A plan that is over binds nobody.
    if (plan === undefined || hour < 0 || hour >= plan.gridWh.length || plan.gridWh[hour]! > 0) return null;
    const next = plan.gridWh.findIndex((wh, at) => at > hour && wh > 0);
    const untilMs = 1000 * (plan.startS + 3600 * (next < 0 ? plan.gridWh.length : next));
    const better = plan.objective === 'carbon' ? 'cleaner' : 'cheaper';
    const at = clockTime(untilMs, timeZone);
    return {
      reason: 'planned-later',
      what:
        next < 0
          ? `The run needs no power from its grid until ${at}.`
          : `The run plans power from its grid for ${at}, when it is ${better}.`,
      untilMs,
      fix: 'heliotrope resume',
    };
  },
];

/** The sun modes need to know what the home has. */
export const meterRule: Rule = ({ site, nowMs }) => {
  const { silentMeter } = site;
  if (silentMeter === undefined || nowMs - silentMeter.sinceMs < SILENT_MS) return null;
  return {
    reason: 'meter-silent',
    what: `The meter ${silentMeter.name} has said nothing for ${Math.round((nowMs - silentMeter.sinceMs) / 60_000)} min: nobody knows what the home has.`,
    untilMs: null,
    fix: `heliotrope meters check ${silentMeter.name}`,
  };
};

export const firstOf = (rules: readonly Rule[], situation: Situation): Stop | null => {
  for (const rule of rules) {
    const stop = rule(situation);
    if (stop !== null) return stop;
  }
  return null;
};

const isOver = (untilMs: number | null, nowMs: number): boolean => untilMs !== null && untilMs <= nowMs;

export interface Allowed {
  readonly signal: Signal;
  /** What it leaves to this machine, W. */
  readonly allowedW: number;
}

/** What is allowed at most from outside, if anything is. */
export function strictestSignal(site: SiteNow, nowMs: number): Allowed | null {
  return site.signals
    .filter(({ untilMs }) => !isOver(untilMs, nowMs))
    .map((signal) => ({ signal, allowedW: leftToMachineW(signal, site.power) }))
    .reduce<Allowed | null>(
      (strictest, each) => (strictest === null || each.allowedW < strictest.allowedW ? each : strictest),
      null,
    );
}

/** Of a limit of the home: what the rest of it leaves, by the meter at the grid, else by sun and household. */
function leftToMachineW(
  { limitW, of }: Signal,
  { gridW, computeW, loadW = 0, pvW = 0, batteryW = 0 }: SiteNow['power'],
): number {
  if (of !== 'home') return limitW;
  const othersW = gridW === undefined ? loadW - pvW - batteryW : gridW - computeW;
  return Math.max(0, limitW - othersW);
}

/** Who allows what until when, without a full stop. */
export function allowance({ signal, allowedW }: Allowed, timeZone: string): string {
  const until = signal.untilMs === null ? '' : ` until ${clockTime(signal.untilMs, timeZone)}`;
  const left =
    signal.of === 'home'
      ? `the home ${watts(signal.limitW)} of the grid${until}, which leaves ${watts(allowedW)}`
      : `${watts(allowedW)}${until}`;
  return `${signal.from} allows ${left}`;
}

/** The first moment from now at which a forecast is below a limit; null where it never is. */
function firstBelow(series: Series | undefined, limit: number, nowMs: number): number | null {
  if (series === undefined) return null;
  const { startMs, stepMs, values } = series;
  for (let i = Math.max(0, Math.floor((nowMs - startMs) / stepMs)); i < values.length; i++)
    if (meanOver(series, Math.max(nowMs, startMs + i * stepMs), startMs + (i + 1) * stepMs) <= limit)
      return Math.max(nowMs, startMs + i * stepMs);
  return null;
}

export const watts = (powerW: number): string => `${Math.round(powerW)} W`;
export const expected = (atMs: number | null, timeZone: string): string =>
  atMs === null ? '' : `, expected at ${clockTime(atMs, timeZone)}`;
