import type { RunRecord } from '../events.ts';
import { Downsampler } from './downsample.ts';
import type { RunStore } from './run-store.ts';
import type { KeptRecord } from './series.ts';

/** Records that wait for the store at most; beyond, the oldest are lost, and counted. */
const MOST_WAITING = 20_000;
/** Rows of one transaction: others wait for the same database. */
const MOST_ROWS = 2_000;
const FLUSH_MS = 1_000;
const PRUNE_S = 60;

/** What the store loses while it is away, or falls behind. */
export interface Lost {
  readonly records: number;
  readonly buckets: number;
}

/**
 * Writes the records of a run to its store once a second, in the background: nobody waits for it. Memory is bounded: if the store is away for
 * long, the newest records are kept, and the loss is reported.
 */
export class Telemetry {
  readonly #store: Pick<RunStore, 'keep' | 'unfinishedSeries'>;
  readonly #nowS: () => number;
  readonly #onLost: (lost: Lost) => void;
  readonly #downsampler = new Downsampler();
  #records: KeptRecord[] = [];
  #lostRecords = 0;
  #prunedAtS = 0;
  #writing: Promise<void> = Promise.resolve();
  #isWriting = false;
  readonly #timer: NodeJS.Timeout;

  private constructor(
    store: Pick<RunStore, 'keep' | 'unfinishedSeries'>,
    nowS: () => number,
    onLost: (lost: Lost) => void,
  ) {
    this.#store = store;
    this.#nowS = nowS;
    this.#onLost = onLost;
    this.#timer = setInterval(() => this.#begin(), FLUSH_MS);
    this.#timer.unref();
  }

  /** @param nowS seconds since 1970 */
  static async begin(
    store: Pick<RunStore, 'keep' | 'unfinishedSeries'>,
    nowS: () => number,
    onLost: (lost: Lost) => void,
  ): Promise<Telemetry> {
    const telemetry = new Telemetry(store, nowS, onLost);
    telemetry.#downsampler.seed(await store.unfinishedSeries(nowS()));
    return telemetry;
  }

  /** @param values what is counted besides, as bytes */
  take(record: RunRecord, values: Readonly<Record<string, number>> = {}): void {
    const atS = this.#nowS();
    if (record.kind === 'progress') {
      this.#downsampler.add(record.island, { ...record.progress, ...values }, atS);
      return;
    }
    if (record.kind === 'merge')
      this.#downsampler.add('', { runStep: record.runStep, contributions: record.contributions.length }, atS);
    if (record.kind === 'evaluation') this.#downsampler.add('', { validationLoss: record.loss }, atS);
    this.#records.push({ atS, record });
    if (this.#records.length > MOST_WAITING) this.#lostRecords += this.#records.splice(0, MOST_WAITING / 10).length;
  }

  /** What waits in memory. */
  get waiting(): { readonly records: number; readonly buckets: number } {
    return { records: this.#records.length, buckets: this.#downsampler.waiting };
  }

  /** Flushes everything, including the ten seconds that are not over. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    this.#downsampler.closeFinest();
    while (this.#records.length > 0 || this.#downsampler.waiting > 0) if (!(await this.#write())) return;
  }

  #begin(): void {
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#writing = this.#write().then(() => {
      this.#isWriting = false;
    });
  }

  /** @returns whether it was stored; whoever writes next hears why not, as the store is the run's own memory */
  async #write(): Promise<boolean> {
    const nowS = this.#nowS();
    this.#downsampler.tick(nowS);
    const lost = { records: this.#lostRecords, buckets: this.#downsampler.takeLost() };
    this.#lostRecords = 0;
    if (lost.records + lost.buckets > 0) this.#onLost(lost);
    const records = this.#records.splice(0, MOST_ROWS);
    const buckets = this.#downsampler.take(MOST_ROWS);
    // Also where the clock was set back.
    const isPruning = Math.abs(nowS - this.#prunedAtS) >= PRUNE_S;
    if (records.length + buckets.length === 0 && !isPruning) return true;
    if (isPruning) this.#prunedAtS = nowS;
    try {
      await this.#store.keep({ records, buckets, ...(isPruning ? { pruneAtS: nowS } : {}) });
      return true;
    } catch {
      this.#onLost({ records: records.length, buckets: buckets.length });
      return false;
    }
  }
}
