import type { Battery } from '../home/battery.ts';
import { type EnergyInterval, INTERVAL_MS } from './interval.ts';
import { type About, type Flows, recordOf, sumOf } from './record.ts';
import type { StoredCarbon } from './stored-carbon.ts';

type Words = Omit<About, 'startMs' | 'endMs'>;

/** Adds stretches of a home's time up to records of a quarter of an hour. A record ends early where a factor, a method or time itself is another. */
export class IntervalRecorder {
  readonly #battery: Battery;
  readonly #emit: (record: EnergyInterval) => void;
  #stored: StoredCarbon;
  #open: { readonly flows: Flows; readonly about: About } | undefined;

  constructor(battery: Battery, stored: StoredCarbon, emit: (record: EnergyInterval) => void) {
    this.#battery = battery;
    this.#stored = stored;
    this.#emit = emit;
  }

  /** What the battery holds of carbon, as of the last record. */
  get stored(): StoredCarbon {
    return this.#stored;
  }

  /** Of stretches in the order of time, each at most a quarter of an hour. */
  add(fromMs: number, toMs: number, flows: Flows, words: Words): void {
    if (toMs <= fromMs) return;
    if (this.#open !== undefined && !continues(this.#open.about, fromMs, words)) this.flush();
    const open = this.#open;
    if (open === undefined) this.#open = { flows, about: { ...words, startMs: fromMs, endMs: toMs } };
    else
      this.#open = {
        flows: sumOf(open.flows, flows),
        about: { ...open.about, endMs: toMs, tokens: both(open.about.tokens, words.tokens) },
      };
  }

  /** What is open, as the record that it would be now; it stays open. */
  get open(): EnergyInterval | undefined {
    return this.#ended()?.record;
  }

  /** What is open becomes a record, however short. */
  flush(): void {
    const ended = this.#ended();
    if (ended === undefined) return;
    this.#stored = ended.stored;
    this.#open = undefined;
    this.#emit(ended.record);
  }

  #ended(): ReturnType<typeof recordOf> | undefined {
    return this.#open && recordOf(this.#battery, this.#stored, this.#open.flows, this.#open.about);
  }
}

const quarterOf = (ms: number): number => Math.floor(ms / INTERVAL_MS);

function continues(about: About, fromMs: number, words: Words): boolean {
  const { startMs, endMs, tokens: _, ...before } = about;
  const { tokens: __, ...now } = words;
  return (
    fromMs === endMs &&
    quarterOf(fromMs) === quarterOf(startMs) &&
    (Object.keys({ ...before, ...now }) as (keyof typeof now)[]).every(
      (key) => before[key] === now[key] || JSON.stringify(before[key]) === JSON.stringify(now[key]),
    )
  );
}

const both = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b);
