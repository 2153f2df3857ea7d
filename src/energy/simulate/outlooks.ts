import { FORECAST_ERRORS, forecastFrom } from '../grid/index.ts';
import type { Outlook } from '../schedule/index.ts';
import { type Band, HOUR_MS, type Series, seriesOf } from '../series.ts';
import { type Fleet, YEAR_HOURS } from './fleet.ts';
import type { FleetNow } from './run-fleet.ts';

/** How far a home looks ahead, h. */
export const AHEAD_HOURS = 48;
const ISSUED_EVERY = 6;
/** Days after which a household's new habit is mostly known. */
const LEARNS_DAYS = 28;
/** A busy hour says so much of the next one. */
const PERSISTS = 0.6;
/** Four nights of five are within this share of the usual household. */
const HOUSEHOLD_BAND = 0.3;

/** An edge of what is expected: `low` is little sun and a busy household. */
export type Edge = 'low' | 'mid' | 'high';
const BUSY: Readonly<Record<Edge, number>> = { low: 1 + HOUSEHOLD_BAND, mid: 1, high: 1 - HOUSEHOLD_BAND };

/**
 * What each home of a fleet expects: its sun and its zone's intensity by forecasts as wrong as real ones, issued every six hours; its household by
 * what its meter has learned. What is now, its meters say.
 */
export class Outlooks {
  readonly #fleet: Fleet;
  readonly #seed: number;
  #pv: readonly Band[] = [];
  #intensity: ReadonlyMap<string, Float64Array> = new Map();
  #issuedHour = 0;
  readonly #usualW: readonly Float64Array[];
  readonly #outlook = {
    hours: 1,
    pvW: new Float64Array(AHEAD_HOURS),
    loadW: new Float64Array(AHEAD_HOURS),
    intensityGPerKWh: new Float64Array(AHEAD_HOURS),
  };

  constructor(fleet: Fleet, seed: number) {
    this.#fleet = fleet;
    this.#seed = seed;
    this.#usualW = fleet.homes.map(({ usualLoadW }) => usualLoadW.slice());
  }

  /** Once an hour. */
  advance(now: FleetNow): void {
    const hourOfDay = now.ofYear % 24;
    for (const [h, { loadW }] of this.#fleet.homes.entries()) {
      const usual = this.#usualW[h]!;
      usual[hourOfDay]! += (loadW[now.ofYear]! - usual[hourOfDay]!) / LEARNS_DAYS;
    }
    if (now.hour % ISSUED_EVERY === 0) this.#issue(now);
  }

  #issue({ hour, ofYear }: FleetNow): void {
    this.#issuedHour = hour;
    const { homes, zones, startMs } = this.#fleet;
    const issuedMs = startMs + hour * HOUR_MS;
    const hours = AHEAD_HOURS + ISSUED_EVERY;
    const truth = (values: Float64Array): Series => {
      const ahead = Array.from({ length: hours }, (_, i) => values[(ofYear + i) % YEAR_HOURS]!);
      return seriesOf(issuedMs, HOUR_MS, ahead, { quality: 'modelled', method: 'simulated fleet' });
    };
    this.#pv = homes.map(({ pvW }, h) =>
      forecastFrom(truth(pvW), { issuedMs, hours, error: FORECAST_ERRORS.sun, seed: this.#seed + h }),
    );
    this.#intensity = new Map(
      zones.map(({ name, averageG }, z) => {
        const of = { issuedMs, hours, error: FORECAST_ERRORS.intensity, seed: this.#seed + 10_000 + z };
        return [name, forecastFrom(truth(averageG), of).mid.values];
      }),
    );
  }

  /** One room for all: what is given holds until the next question. */
  of(h: number, { hour, ofYear }: FleetNow, edge: Edge): Outlook {
    const { pvW, loadW, intensityGPerKWh } = this.#outlook;
    const home = this.#fleet.homes[h]!;
    const from = hour - this.#issuedHour;
    const pv = this.#pv[h]![edge].values;
    const intensity = this.#intensity.get(home.zone.name)!;
    const usual = this.#usualW[h]!;
    const busy = home.loadW[ofYear]! / Math.max(1, usual[ofYear % 24]!);
    let lasting = 1;
    for (let i = 0; i < AHEAD_HOURS; i++) {
      pvW[i] = pv[from + i]!;
      intensityGPerKWh[i] = intensity[from + i]!;
      loadW[i] = usual[(ofYear + i) % 24]! * (1 + (busy - 1) * lasting) * BUSY[edge];
      lasting *= PERSISTS;
    }
    pvW[0] = home.pvW[ofYear]!;
    loadW[0] = home.loadW[ofYear]!;
    intensityGPerKWh[0] = home.zone.averageG[ofYear]!;
    return this.#outlook;
  }
}
