import { z } from 'zod';
import type { GridPlan } from '../../protocol/forecast.ts';
import type { Band, Series } from '../series.ts';

/** A site at one moment, as far as anybody knows: what is not known is not there, and never 0. */
export interface SiteNow {
  readonly power: {
    /** What the panels give, ≥ 0. */
    readonly pvW?: number | undefined;
    /** Import is +. */
    readonly gridW?: number | undefined;
    /** Discharge is +. */
    readonly batteryW?: number | undefined;
    /** What the home takes without this machine. */
    readonly loadW?: number | undefined;
    /** What this machine draws now. */
    readonly computeW: number;
    /** What the inverter throws away now, as more may not go to the grid. */
    readonly curtailedW?: number | undefined;
  };
  readonly batteryPercent?: number | undefined;
  /** How long the battery carries an average household by itself; undefined where nobody knows. */
  readonly batteryLastsHours?: number | undefined;
  /** The owner's reserve, and all of the battery in an outage; 0 without a battery. */
  readonly reservePercent: number;
  readonly isGridConnected: boolean;
  /** What the machine draws when it does nothing, the least at which it trains, and the most. */
  readonly machine: { readonly idleW: number; readonly leastW: number; readonly mostW: number };
  readonly temperatureC?: number | undefined;
  /** Since when nobody has used the machine, Unix ms; undefined where nobody can tell. */
  readonly idleSinceMs?: number | undefined;
  readonly intensityGPerKWh?: number | undefined;
  readonly pricePerKWh?: number | undefined;
  /** Cars that come first. */
  readonly vehicles?: readonly Vehicle[] | undefined;
  /** Power from the grid is cheap now, as the home's energy manager says, which takes it as well. */
  readonly isCheapNow?: boolean | undefined;
  readonly dataThisMonthBytes: number;
  /** What somebody outside asks for; the strictest counts. */
  readonly signals: readonly Signal[];
  /** What the owner last said by hand. */
  readonly override: Override | null;
  /** When the run plans that it takes power from the grid; undefined where it plans nothing. */
  readonly plan?: GridPlan | undefined;
  /** A meter that the mode needs and that says nothing: its name, and since when. */
  readonly silentMeter?: { readonly name: string; readonly sinceMs: number } | undefined;
}

/** A car, or another load of evcc's, that would take sun before training does. */
export interface Vehicle {
  readonly name: string;
  /** The least with which it begins; 0 while it charges. */
  readonly leastW: number;
  /** What it would take beyond what it takes. */
  readonly moreW: number;
}

/** A home's energy manager dims, or a grid operator has an event. */
export interface Signal {
  /** Who says so, for the sentence that the owner reads. */
  readonly from: string;
  /** The most that the machine may draw; 0 stops it. With `of: 'home'` the most that the home may take from the grid. */
  readonly limitW: number;
  readonly of?: 'home' | undefined;
  /** Null: until it is taken back. */
  readonly untilMs: number | null;
}

export interface Override {
  /** `drain` hands in what there is and then pauses; `resume` trains whatever the sun does. Hard limits stay. */
  readonly kind: 'pause' | 'resume' | 'drain';
  readonly untilMs: number | null;
}

/** What is expected: W, 0 and more. Empty where there is no forecast. */
export interface SiteForecast {
  readonly pvW?: Band;
  readonly loadW?: Series;
  readonly intensityGPerKWh?: Series;
  readonly pricePerKWh?: Series;
}

const ms = z.number().min(0).max(8.64e15);

/** What the controller remembers from one decision to the next. Plain data: it is saved, so that a restart starts nothing twice. */
export const policyMemorySchema = z
  .strictObject({
    isOn: z.boolean(),
    /** Since when it is on, or off. */
    sinceMs: ms,
    /** Since when there has been enough (while off) or too little (while on); null while that is not so. */
    timerSinceMs: ms.nullable(),
    /** Energy that it took beyond what it may, Wh; it is paid back by surplus. */
    importWh: z.number().min(0).max(1e9),
    /** When it started within the last hour. */
    startsMs: z.array(ms).max(1_000).readonly(),
    decidedMs: ms,
  })
  .readonly();
export type PolicyMemory = z.output<typeof policyMemorySchema>;

/** A machine that was off for ever. */
export const newMemory = (nowMs: number): PolicyMemory => ({
  isOn: false,
  sinceMs: 0,
  timerSinceMs: null,
  importWh: 0,
  startsMs: [],
  decidedMs: nowMs,
});
