import type { StoredCarbon } from '../accounting/stored-carbon.ts';
import { balanceInto, type ComputeMayUse, computeWh, emptyFlows, type PvOrder } from '../home/index.ts';
import { participationBalance } from '../schedule/index.ts';
import { type Fleet, YEAR_HOURS } from './fleet.ts';
import { book, emptyBooks, type FleetBooks, storedAtFirst } from './home-books.ts';

/** The fleet at the start of an hour, as a strategy sees it. */
export interface FleetNow {
  readonly fleet: Fleet;
  /** Since the start of the job. */
  readonly hour: number;
  /** The same within the year, which goes round. */
  readonly ofYear: number;
  /** What each home's battery holds. */
  readonly heldWh: Float64Array;
  readonly tokensLeft: number;
}

/** Who trains: the sun of the hour is known, as meters say it, and all that comes only by forecasts that the strategy makes itself. */
export interface Strategy {
  readonly mayUse: ComputeMayUse;
  readonly pvOrder: PvOrder;
  /** Writes what each home's machine shall draw, W; 0 rests. */
  ask(now: FleetNow, askW: Float64Array): void;
}

export interface FleetJob {
  readonly tokens: number;
  readonly tokensPerWh: number;
}

export interface FleetOutcome {
  readonly books: FleetBooks;
  readonly computeWh: number;
  readonly days: number;
  /** Tokens of each home. */
  readonly tokens: Float64Array;
  /** Jain's index of used energy as a share of the year's own surplus, {@link participationBalance}. */
  readonly balance: number;
}

const MOST_YEARS = 20;
/** Batteries that would be fuller without training cause import after it: so long at most. */
const AFTER_HOURS = 60 * 24;
const SETTLED_WH = 1;

/**
 * Trains the job's tokens by a strategy, hour by hour, and keeps both books. The books go on after the last token until every battery holds what it
 * would hold without training.
 *
 * @throws Error when the tokens are not trained within twenty years
 */
export function runFleet(fleet: Fleet, { tokens, tokensPerWh }: FleetJob, strategy: Strategy): FleetOutcome {
  const { homes } = fleet;
  const books = emptyBooks();
  const actual = homes.map(({ home }) => emptyFlows(home.battery.capacityWh / 2));
  const shadow = homes.map(({ home }) => emptyFlows(home.battery.capacityWh / 2));
  const stored: StoredCarbon[] = homes.map((home) => storedAtFirst(home, home.home.battery.capacityWh / 2));
  const heldWh = new Float64Array(homes.length);
  const askW = new Float64Array(homes.length);
  const usedWh = new Float64Array(homes.length);
  const step = {
    hours: 1,
    pvW: 0.5,
    loadW: 0.5,
    computeW: 0.5,
    computeMayUse: strategy.mayUse,
    pvOrder: strategy.pvOrder,
    gridChargeW: 0,
    gridConnected: true,
  };
  let left = tokens;
  let doneAt = -1;
  for (let hour = 0; ; hour++) {
    if (hour > MOST_YEARS * YEAR_HOURS)
      throw new Error(`${left} of ${tokens} tokens are left after ${MOST_YEARS} years.`);
    const ofYear = hour % YEAR_HOURS;
    if (doneAt < 0) {
      for (let h = 0; h < homes.length; h++) heldWh[h] = actual[h]!.energyWh;
      strategy.ask({ fleet, hour, ofYear, heldWh, tokensLeft: left }, askW);
    } else askW.fill(0);
    let debtWh = 0;
    for (let h = 0; h < homes.length; h++) {
      const home = homes[h]!;
      step.pvW = home.pvW[ofYear]!;
      step.loadW = home.loadW[ofYear]!;
      // The last tokens need no whole hour.
      step.computeW = Math.min(askW[h]!, left / tokensPerWh);
      balanceInto(home.home, step, actual[h]!);
      step.computeW = 0;
      balanceInto(home.home, step, shadow[h]!);
      const wh = computeWh(actual[h]!);
      usedWh[h]! += wh;
      left = Math.max(0, left - wh * tokensPerWh);
      stored[h] = book(books, home, ofYear, stored[h]!, actual[h]!, shadow[h]!);
      debtWh = Math.max(debtWh, Math.abs(shadow[h]!.energyWh - actual[h]!.energyWh));
    }
    if (doneAt < 0 && left <= 1e-9 * tokens) doneAt = hour + 1;
    if (doneAt >= 0 && (debtWh < SETTLED_WH || hour > doneAt + AFTER_HOURS)) break;
  }
  return {
    books,
    computeWh: usedWh.reduce((sum, wh) => sum + wh, 0),
    days: doneAt / 24,
    tokens: usedWh.map((wh) => wh * tokensPerWh),
    balance: participationBalance(homes.map((home, h) => ({ usedWh: usedWh[h]!, availableWh: surplusOfYearWh(home) }))),
  };
}

/** What the machine could take in a year of the sun that the household leaves. */
function surplusOfYearWh({ pvW, loadW, machineW }: Fleet['homes'][number]): number {
  let sum = 0;
  for (let i = 0; i < pvW.length; i++) sum += Math.min(machineW, Math.max(0, pvW[i]! - loadW[i]!));
  return sum;
}
