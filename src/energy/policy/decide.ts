import { type Reason, type Standing, standing } from '../../protocol/standing.ts';
import { valueAt } from '../series.ts';
import { clockTime } from './local-time.ts';
import type { Policy } from './policy-schema.ts';
import {
  allowance,
  expected,
  firstOf,
  GRID_RULES,
  HARD_RULES,
  meterRule,
  type Situation,
  SOFT_RULES,
  type Stop,
  strictestSignal,
  watts,
} from './rules.ts';
import type { PolicyMemory, SiteForecast, SiteNow, Vehicle } from './site-now.ts';
import { homeSurplusW, surplusW, takenFirst } from './surplus.ts';

export interface Decision {
  /** Where the site stands: `training`, or `away` with the one rule that wins, what happens next and when. */
  readonly standing: Standing;
  /** What the machine may draw, W; 0 when it does not train. */
  readonly powerW: number;
  readonly memory: PolicyMemory;
}

export interface Policies {
  readonly policy: Policy;
  readonly timeZone: string;
}

const HOUR_MS = 3_600_000;
const MOST_STARTS_AN_HOUR = 2;
/** How much import beyond the tolerance stops it before its least time on is over. */
const FAR_BEYOND = 1.5;

/**
 * Whether a site's machine trains now, and with how much power. Pure: the same site, forecast, policy, moment and memory give the same decision.
 *
 * Rules are asked by rank, and the first that says no is named: what the owner says by hand, a signal from outside, an outage, heat; then who uses the
 * machine, quiet hours and the data budget, which `resume` lifts; then where the power comes from. Only the last have delays, least times and a
 * tolerance in energy: a cloud or a kettle stops nothing.
 */
export function decide(
  site: SiteNow,
  forecast: SiteForecast,
  { policy, timeZone }: Policies,
  memory: PolicyMemory,
  nowMs: number,
): Decision {
  const situation: Situation = { site, forecast, policy, timeZone, nowMs, isOn: memory.isOn };
  const hard = firstOf(HARD_RULES, situation);
  if (hard !== null) return stopped(situation, memory, hard);
  const { override } = site;
  if (override?.kind === 'resume' && (override.untilMs === null || override.untilMs > nowMs)) {
    const until = override.untilMs === null ? '' : ` until ${clockTime(override.untilMs, timeZone)}`;
    return trains(situation, memory, 'resumed-by-owner', `You told it to train${until}.`, mostW(situation));
  }
  const soft = firstOf(SOFT_RULES, situation);
  if (soft !== null) return stopped(situation, memory, soft);
  if (site.isCheapNow === true && site.isGridConnected && firstOf(GRID_RULES, situation) === null)
    return trains(situation, memory, 'at-work', 'Power from the grid is cheap now, says evcc.', mostW(situation));
  // Off the grid whoever trains takes from the sun alone, as the battery is the home's.
  if (policy.mode !== 'always' || !site.isGridConnected) return bySun(situation, memory);
  const grid = firstOf(GRID_RULES, situation);
  if (grid === null) return trains(situation, memory, 'at-work', 'It always trains.', mostW(situation));
  // What the home has left is neither dirty nor dear.
  return (surplusW(site, policy) ?? 0) >= site.machine.leastW
    ? bySun(situation, memory)
    : stopped(situation, memory, grid);
}

/** The most that the machine may draw now. */
function mostW({ site, policy, nowMs }: Situation): number {
  const { mostW: most } = site.machine;
  return Math.min(most, policy.powerCapW ?? most, strictestSignal(site, nowMs)?.allowedW ?? most);
}

/** With what the home has left, and from the battery where that is allowed. */
function bySun(situation: Situation, memory: PolicyMemory): Decision {
  const { site, policy } = situation;
  const { leastW } = site.machine;
  const silent = meterRule(situation);
  if (silent !== null) return stopped(situation, memory, silent);
  const surplus = surplusW(site, policy);
  // A meter that is silent for a moment: nothing begins, and nothing ends.
  if (surplus === undefined)
    return memory.isOn
      ? trains(situation, memory, 'at-work', 'A meter says nothing for a moment.', leastW)
      : stopped(situation, memory, { reason: 'meter-silent', what: 'No meter says what the home has.', untilMs: null });
  const battery = batteryAllows(situation, memory);
  const share = 1 - (gridAllowed(situation) ? policy.gridSharePercent / 100 : 0);
  // What is needed of the surplus to train at the least power, and what the surplus carries.
  const neededW = share * leastW;
  const carriedW = battery ? mostW(situation) : share === 0 ? mostW(situation) : surplus / share;
  const isEnough = battery || surplus >= neededW;
  const powerW = Math.min(mostW(situation), Math.max(leastW, carriedW));
  const deficitW = battery ? 0 : Math.max(0, share * site.power.computeW - surplus);
  const next = memory.isOn ? running(situation, memory, isEnough, deficitW) : waiting(situation, memory, isEnough);
  if (next.isOn) return trains(situation, next, 'at-work', sunSentence(situation, surplus, battery, next), powerW);
  return stopped(situation, next, sunStop(situation, next, surplus, neededW));
}

/** Cars that charge with the sun and come first. */
const waitingVehicles = ({ site, policy }: Situation): readonly Vehicle[] =>
  takenFirst(site.vehicles ?? [], homeSurplusW(site, policy) ?? 0);

/** While off: enough for a while starts it, unless it stopped a moment ago or has started too often. */
function waiting({ policy, nowMs }: Situation, memory: PolicyMemory, isEnough: boolean): PolicyMemory {
  const timerSinceMs = isEnough ? (memory.timerSinceMs ?? nowMs) : null;
  const startsMs = memory.startsMs.filter((ms) => ms > nowMs - HOUR_MS);
  const waited = { ...memory, timerSinceMs, startsMs, importWh: 0, decidedMs: nowMs };
  if (timerSinceMs === null || nowMs < startsAtMs(policy, waited)) return waited;
  return {
    isOn: true,
    sinceMs: nowMs,
    timerSinceMs: null,
    importWh: 0,
    startsMs: [...startsMs, nowMs],
    decidedMs: nowMs,
  };
}

/** When it starts if there is enough until then. */
function startsAtMs(policy: Policy, { timerSinceMs, sinceMs, startsMs }: PolicyMemory): number {
  const second =
    startsMs.length < MOST_STARTS_AN_HOUR ? Number.NEGATIVE_INFINITY : startsMs.at(-MOST_STARTS_AN_HOUR)! + HOUR_MS;
  return Math.max(timerSinceMs! + 1000 * policy.startDelayS, sinceMs + 60_000 * policy.minOffMinutes, second);
}

/** While on: energy beyond what it may take is added up, and surplus pays it back. Too much of it, or too little power for too long, stops it. */
function running(
  { policy, nowMs }: Situation,
  memory: PolicyMemory,
  isEnough: boolean,
  deficitW: number,
): PolicyMemory {
  const hours = Math.max(0, nowMs - memory.decidedMs) / HOUR_MS;
  const importWh =
    isEnough && deficitW === 0 ? Math.max(0, memory.importWh - 100 * hours) : memory.importWh + deficitW * hours;
  const timerSinceMs = isEnough ? null : (memory.timerSinceMs ?? nowMs);
  const goesOn = { ...memory, importWh, timerSinceMs, decidedMs: nowMs };
  if (timerSinceMs === null) return goesOn;
  const isLong = nowMs - timerSinceMs >= 1000 * policy.stopDelayS;
  const isMuch = importWh > policy.importToleranceWh;
  const hasRun = nowMs - memory.sinceMs >= 60_000 * policy.minOnMinutes;
  const stops = (isLong && isMuch && hasRun) || importWh > FAR_BEYOND * policy.importToleranceWh;
  return stops ? { ...goesOn, isOn: false, sinceMs: nowMs, timerSinceMs: null, importWh: 0 } : goesOn;
}

/** Whether the battery may train: above a level that is higher to start than to go on, and never into the reserve. */
function batteryAllows(situation: Situation, { isOn }: PolicyMemory): boolean {
  const { site, policy } = situation;
  // What the battery gives to training, the sun would lack at the car.
  if (waitingVehicles(situation).length > 0) return false;
  const { batteryPercent, reservePercent } = site;
  if (policy.mode !== 'sun-and-battery' || batteryPercent === undefined || !site.isGridConnected) return false;
  const stop = Math.max(policy.batteryStopPercent, reservePercent);
  const start = Math.max(policy.batteryStartPercent, Math.min(100, stop + 5));
  return isOn ? batteryPercent > stop : batteryPercent >= start;
}

const gridAllowed = (situation: Situation): boolean =>
  situation.site.isGridConnected && firstOf(GRID_RULES, situation) === null;

function sunSentence(
  { site, policy }: Situation,
  surplus: number,
  battery: boolean,
  { importWh }: PolicyMemory,
): string {
  if (battery)
    return `From the battery at ${site.batteryPercent!.toFixed(0)} %; it stops at ${Math.max(policy.batteryStopPercent, site.reservePercent).toFixed(0)} %.`;
  if (surplus >= site.machine.leastW) return `With ${watts(surplus)} of sun that the home does not need.`;
  return `A cloud: ${watts(surplus)} of ${watts(site.machine.leastW)}; it stops when it has taken ${policy.importToleranceWh} Wh (now ${importWh.toFixed(0)}).`;
}

/** Why it waits for power, and until when. */
function sunStop(situation: Situation, memory: PolicyMemory, surplus: number, neededW: number): Stop {
  const { site, forecast, policy, nowMs, timeZone } = situation;
  const first = waitingVehicles(situation)
    .map(({ name, moreW }) => `${name}, which would take ${watts(moreW)} more`)
    .join(', and ');
  const has = `${watts(Math.max(0, surplus))} surplus${first === '' ? '' : ` after ${first}`}`;
  if (memory.timerSinceMs !== null) {
    const atMs = startsAtMs(policy, memory);
    const isSoon = atMs <= memory.timerSinceMs + 1000 * policy.startDelayS;
    return isSoon
      ? { reason: 'starts-soon', what: `${has}: starts in ${countdown(atMs - nowMs)} if it lasts.`, untilMs: atMs }
      : {
          reason: 'rests-between-starts',
          what: `${has}; it pauses until ${clockTime(atMs, timeZone)}, so as not to start too often.`,
          untilMs: atMs,
        };
  }
  const untilMs = nextSun(forecast, neededW, policy, nowMs);
  const battery =
    policy.mode === 'sun-and-battery' && site.batteryPercent !== undefined
      ? `, battery at ${site.batteryPercent.toFixed(0)} % of ${Math.max(policy.batteryStartPercent, site.reservePercent).toFixed(0)} %`
      : '';
  return {
    reason: 'no-sun',
    what: `${has}${battery}; needs ${watts(neededW)} for ${countdown(1000 * policy.startDelayS)}${expected(untilMs, timeZone)}.`,
    untilMs,
  };
}

/** The first moment at which the forecast has enough for the least time on. */
function nextSun(
  { pvW, loadW }: SiteForecast,
  neededW: number,
  { minOnMinutes }: Policy,
  nowMs: number,
): number | null {
  if (pvW === undefined) return null;
  const { startMs, stepMs, values } = pvW.mid;
  const first = Math.max(0, Math.floor((nowMs - startMs) / stepMs));
  const least = Math.max(1, Math.ceil((60_000 * minOnMinutes) / stepMs));
  let run = 0;
  for (let i = first; i < values.length; i++) {
    const atMs = startMs + i * stepMs;
    const load = loadW === undefined ? 0 : valueAt(loadW, atMs);
    run = values[i]! - (Number.isNaN(load) ? 0 : load) >= neededW ? run + 1 : 0;
    if (run === least) return Math.max(nowMs, startMs + (i - least + 1) * stepMs);
  }
  return null;
}

function trains(situation: Situation, memory: PolicyMemory, reason: Reason, what: string, powerW: number): Decision {
  const { site, nowMs, timeZone } = situation;
  const strictest = strictestSignal(site, nowMs);
  // Whoever is dimmed reads by whom.
  const isDimmed = strictest !== null && powerW < site.machine.mostW && powerW >= strictest.allowedW;
  const said = isDimmed
    ? standing('training', 'grid-signal', `${what} ${allowance(strictest, timeZone)}.`)
    : standing('training', reason, what);
  const next = memory.isOn
    ? { ...memory, decidedMs: nowMs }
    : { ...memory, isOn: true, sinceMs: nowMs, timerSinceMs: null, importWh: 0, decidedMs: nowMs };
  return { standing: said, powerW, memory: next };
}

function stopped({ nowMs }: Situation, memory: PolicyMemory, { reason, what, untilMs, fix }: Stop): Decision {
  // The sun is not to blame: no least time off, and the start is none of a cloudy day's.
  const next = memory.isOn
    ? {
        isOn: false,
        sinceMs: 0,
        timerSinceMs: null,
        importWh: 0,
        startsMs: memory.startsMs.slice(0, -1),
        decidedMs: nowMs,
      }
    : { ...memory, decidedMs: nowMs };
  const atS = untilMs === null ? null : untilMs / 1000;
  return {
    standing: { state: 'away', reason, next: { what, atS }, fix: fix ?? null },
    powerW: 0,
    memory: next,
  };
}

/** Like 0:45 or 12:00, minutes and seconds; or 2 h 05 min. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
