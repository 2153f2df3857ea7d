import { z } from 'zod';
import { type BySource, type EnergyInterval, reportOf } from '../energy/accounting/index.ts';
import { importWh } from '../energy/home/index.ts';
import type { HomeSpan } from './home.ts';

/** What a simulated home did in a quarter of an hour, as a line of `day.jsonl`: its day curve. Energies in Wh, powers are means. What it emitted is in `energy.jsonl`. */

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
  /** Of the grid, mean; none in records of earlier versions. */
  intensityGPerKWh: z.number().optional(),
  /** Why it trained or not, most of the time. */
  reason: z.string(),
  starts: z.int(),
});
export type HomeRecord = z.output<typeof homeRecordSchema>;

const QUARTER_MS = 15 * 60_000;

/** Adds up spans of a home to quarters of an hour. */
export class HomeRecorder {
  readonly #emit: (record: HomeRecord) => void;
  #open: { record: HomeRecord; ms: number; reasons: Map<string, number> } | undefined;

  constructor(emit: (record: HomeRecord) => void) {
    this.#emit = emit;
  }

  add(
    { fromMs, toMs, pvW, loadW, flows }: HomeSpan,
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
      batteryPercent: now.batteryPercent ?? null,
      computeWh: {
        pv: record.computeWh.pv + flows.pvToComputeWh,
        battery: record.computeWh.battery + flows.batteryToComputeWh,
        grid: record.computeWh.grid + flows.gridToComputeWh,
      },
      importWh: record.importWh + importWh(flows),
      exportWh: record.exportWh + flows.pvToGridWh,
      curtailedWh: record.curtailedWh + flows.curtailedWh,
      intensityGPerKWh: mean(record.intensityGPerKWh ?? 0, now.intensityGPerKWh),
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
  reason: '',
  starts: 0,
});

/** A home's run as a whole. */
export interface HomeTotals {
  readonly home: string;
  readonly hours: number;
  readonly trainedHours: number;
  readonly starts: number;
  readonly computeWh: BySource;
  /** Attributional: each watt-hour by its source, the battery's by what had charged it. */
  readonly attributionalG: number;
  /** Counterfactual: what the home imported more because it trained. */
  readonly counterfactualG: number;
  readonly extraImportWh: number;
  /** What the battery holds less at the end than it would: import that may still come. */
  readonly storedDebtWh: number;
  /** Of what would have been thrown away. */
  readonly usedSpillWh: number;
}

/** @param intervals the home's books over the same time */
export function totalsOf(
  home: string,
  records: readonly HomeRecord[],
  intervals: readonly EnergyInterval[],
): HomeTotals {
  const sum = (of: (record: HomeRecord) => number): number => records.reduce((total, record) => total + of(record), 0);
  const used = (record: HomeRecord): number => record.computeWh.pv + record.computeWh.battery + record.computeWh.grid;
  const { computeWh, totalG, counterfactual } = reportOf(intervals);
  return {
    home,
    hours: sum(({ fromMs, toMs }) => toMs - fromMs) / 3_600_000,
    trainedHours: sum((r) => (used(r) > 0 ? r.toMs - r.fromMs : 0)) / 3_600_000,
    starts: sum(({ starts }) => starts),
    computeWh,
    attributionalG: totalG,
    counterfactualG: counterfactual.averageG,
    extraImportWh: counterfactual.extraImportWh,
    storedDebtWh: counterfactual.storedDebtWh,
    usedSpillWh: counterfactual.usedSpillWh,
  };
}
