import type { RunRecord } from '../coordinator/events.ts';
import type { Traffic } from '../coordinator/server/traffic-counter.ts';
import type { RunStore } from '../coordinator/store/run-store.ts';
import { Telemetry } from '../coordinator/store/telemetry.ts';
import { describeRecord } from './live/describe.ts';
import { LogFile } from './log-file.ts';
import type { LiveRecord } from './records.ts';
import { streamMetrics } from './report/metrics.ts';
import { json } from './terminal-text.ts';

/** One file of metrics.jsonl, and one of events.log; of each there are three at most. */
const METRICS_BYTES = 64 * 2 ** 20;
const EVENTS_BYTES = 16 * 2 ** 20;
/** Of a run whose first metrics.jsonl is full: how often an island's progress is written down. */
const THIN_S = 60;

export interface JournalOptions {
  readonly folder: string;
  readonly store: Pick<RunStore, 'keep' | 'unfinishedSeries'>;
  /** Merges that were committed, as the coordinator may have been killed before they were written down; and what came of the replay. */
  readonly records: readonly RunRecord[];
  readonly emit: (record: LiveRecord) => void;
  readonly say: (sentence: string) => void;
  /** Seconds since 1970. */
  readonly nowS: () => number;
  readonly metricsBytes?: number;
}

/** Writes every record down, for whoever asks the store, for people (metrics.jsonl, events.log), and for whoever watches. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #telemetry: Telemetry;
  readonly #metrics: LogFile;
  readonly #events: LogFile;
  readonly #startMs = performance.now();
  /** When each island's progress was last written, of a long run. */
  readonly #thinned = new Map<string, number>();

  private constructor(options: JournalOptions, telemetry: Telemetry) {
    const { folder, say, metricsBytes = METRICS_BYTES } = options;
    this.#options = options;
    this.#telemetry = telemetry;
    this.#metrics = new LogFile(folder, 'metrics.jsonl', metricsBytes, say);
    this.#events = new LogFile(folder, 'events.log', EVENTS_BYTES, say);
  }

  static async begin(options: JournalOptions): Promise<Journal> {
    const { folder, store, records, say, nowS } = options;
    const telemetry = await Telemetry.begin(store, nowS, ({ records, buckets }) =>
      say(
        `${records} records and ${buckets} rows of series were not stored: the store is away, or too slow. The run goes on.`,
      ),
    );
    const journal = new Journal(options, telemetry);
    const known = await writtenMerges(folder, records);
    for (const record of records) {
      if (record.kind === 'merge' && known.has(keyOf(record))) continue;
      telemetry.take(record);
      journal.#write({ ...record, atS: 0 });
      if (record.kind === 'took-records') say(describeRecord({ ...record, atS: 0 })!);
    }
    await journal.flush();
    return journal;
  }

  record(record: RunRecord, trafficOf: (island: string) => Traffic): void {
    const traffic = 'island' in record ? trafficOf(record.island) : undefined;
    // Sent and received are the island's.
    const bytes = traffic === undefined ? {} : { sentBytes: traffic.receivedBytes, receivedBytes: traffic.sentBytes };
    const live: LiveRecord = { ...record, atS: Math.round(performance.now() - this.#startMs) / 1000, ...bytes };
    this.#telemetry.take(record, bytes);
    this.#write(live);
    this.#options.emit(live);
  }

  /** Resolves when what was recorded so far is in the files. */
  async flush(): Promise<void> {
    await Promise.all([this.#metrics.flush(), this.#events.flush()]);
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#telemetry.close();
  }

  #write(record: LiveRecord): void {
    if (this.#isKept(record)) this.#metrics.append(json(record));
    const sentence = describeRecord(record);
    if (sentence !== undefined)
      this.#events.append(`${new Date(1000 * this.#options.nowS()).toISOString()} ${sentence}`);
  }

  #isKept(record: LiveRecord): boolean {
    if (record.kind !== 'progress' || !this.#metrics.isLong) return true;
    const last = this.#thinned.get(record.island);
    if (last !== undefined && record.atS - last < THIN_S) return false;
    this.#thinned.set(record.island, record.atS);
    return true;
  }
}

const keyOf = ({ fragment, version }: { readonly fragment: number; readonly version: number }): string =>
  `${fragment}:${version}`;

/** Which of these merges are in metrics.jsonl. */
async function writtenMerges(folder: string, records: readonly RunRecord[]): Promise<ReadonlySet<string>> {
  const asked = new Set(records.flatMap((record) => (record.kind === 'merge' ? [keyOf(record)] : [])));
  const found = new Set<string>();
  if (asked.size === 0) return found;
  for await (const record of streamMetrics(folder, ['merge']))
    if (record.kind === 'merge' && asked.has(keyOf(record))) found.add(keyOf(record));
  return found;
}
