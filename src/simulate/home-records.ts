import { z } from 'zod';
import { importWh } from '../energy/home/index.ts';
import type { HomeSpan } from './home.ts';

/** What a simulated home did in a quarter of an hour, as a line of `energy.jsonl`. Energies in Wh, powers are means. */

export const homeRecordSchema = z.object({
  fromMs: z.number(),
  toMs: z.number(),
  pvW: z.number(),
  loadW: z.number(),
  batteryPercent: z.number().nullable(),
  /** What training drew, by where it came from. */
  computeWh: z.object({ pv: z.number(), battery: z.number(), grid: z.number() }),
  importWh: z.number(),
  exportWh: z.number(),
  curtailedWh: z.number(),
  /** What the same home would have imported had nobody trained. */
  importWithoutWh: z.number(),
  intensityGPerKWh: z.number(),
  /** Why it trained or not, most of the time. */
  reason: z.string(),
  starts: z.int(),
});
export type HomeRecord = z.output<typeof homeRecordSchema>;

const QUARTER_MS = 15 * 60_000;

/** Adds up spans of a home, and of the same home without training, to quarters of an hour. */
export class HomeRecorder {
  readonly #emit: (record: HomeRecord) => void;
  #open: { record: HomeRecord; ms: number; reasons: Map<string, number> } | undefined;

  constructor(emit: (record: HomeRecord) => void) {
    this.#emit = emit;
  }

  add(
    { fromMs, toMs, pvW, loadW, flows }: HomeSpan,
    without: HomeSpan,
    now: {
      readonly batteryPercent: number | undefined;
      readonly intensityGPerKWh: number;
      readonly reason: string;
      readonly started: boolean;
    },
  ): void {
    const quarter = Math.floor(fromMs / QUARTER_MS);
    if (this.#open !== undefined && Math.floor(this.#open.record.fromMs / QUARTER_MS) !== quarter) this.flush();
    this.#open ??= { record: emptyRecord(fromMs), ms: 0, reasons: new Map() };
    const { record, reasons } = this.#open;
    const ms = toMs - fromMs;
    const before = this.#open.ms;
    const mean = (old: number, value: number): number => (old * before + value * ms) / (before + ms);
    this.#open.ms += ms;
    reasons.set(now.reason, (reasons.get(now.reason) ?? 0) + ms);
    this.#open.record = {
      ...record,
      toMs,
      pvW: mean(record.pvW, pvW),
      loadW: mean(record.loadW, loadW),
      intensityGPerKWh: mean(record.intensityGPerKWh, now.intensityGPerKWh),
      batteryPercent: now.batteryPercent ?? null,
      computeWh: {
        pv: record.computeWh.pv + flows.pvToComputeWh,
        battery: record.computeWh.battery + flows.batteryToComputeWh,
        grid: record.computeWh.grid + flows.gridToComputeWh,
      },
      importWh: record.importWh + importWh(flows),
      exportWh: record.exportWh + flows.pvToGridWh,
      curtailedWh: record.curtailedWh + flows.curtailedWh,
      importWithoutWh: record.importWithoutWh + importWh(without.flows),
      reason: [...reasons].reduce((most, each) => (each[1] > most[1] ? each : most))[0],
      starts: record.starts + (now.started ? 1 : 0),
    };
  }

  flush(): void {
    if (this.#open !== undefined) this.#emit(this.#open.record);
    this.#open = undefined;
  }
}

const emptyRecord = (fromMs: number): HomeRecord => ({
  fromMs,
  toMs: fromMs,
  pvW: 0,
  loadW: 0,
  batteryPercent: null,
  computeWh: { pv: 0, battery: 0, grid: 0 },
  importWh: 0,
  exportWh: 0,
  curtailedWh: 0,
  importWithoutWh: 0,
  intensityGPerKWh: 0,
  reason: '',
  starts: 0,
});

/** Lifecycle emissions of rooftop solar power, gCO2e/kWh: IPCC AR5 WG3 annex III, median. */
const ROOFTOP_G_PER_KWH = 41;

/** A home's run as a whole. */
export interface HomeTotals {
  readonly home: string;
  readonly hours: number;
  readonly trainedHours: number;
  readonly starts: number;
  readonly computeWh: { readonly pv: number; readonly battery: number; readonly grid: number };
  /** Attributional: each watt-hour by its source; what the battery gave was solar power, with what it lost. */
  readonly attributionalG: number;
  /** Counterfactual: what the home imported more because it trained. */
  readonly counterfactualG: number;
  readonly extraImportWh: number;
}

const BATTERY_EFFICIENCY = 0.9;

export function totalsOf(home: string, records: readonly HomeRecord[]): HomeTotals {
  const sum = (of: (record: HomeRecord) => number): number => records.reduce((total, record) => total + of(record), 0);
  const used = (record: HomeRecord): number => record.computeWh.pv + record.computeWh.battery + record.computeWh.grid;
  return {
    home,
    hours: sum(({ fromMs, toMs }) => toMs - fromMs) / 3_600_000,
    trainedHours: sum((r) => (used(r) > 0 ? r.toMs - r.fromMs : 0)) / 3_600_000,
    starts: sum(({ starts }) => starts),
    computeWh: {
      pv: sum((r) => r.computeWh.pv),
      battery: sum((r) => r.computeWh.battery),
      grid: sum((r) => r.computeWh.grid),
    },
    attributionalG:
      sum(
        (r) =>
          r.computeWh.pv * ROOFTOP_G_PER_KWH +
          (r.computeWh.battery * ROOFTOP_G_PER_KWH) / BATTERY_EFFICIENCY +
          r.computeWh.grid * r.intensityGPerKWh,
      ) / 1_000,
    counterfactualG: sum((r) => (r.importWh - r.importWithoutWh) * r.intensityGPerKWh) / 1_000,
    extraImportWh: sum((r) => r.importWh - r.importWithoutWh),
  };
}
